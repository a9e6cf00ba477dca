// What becomes of each request. Edit and save this file while the server runs: the next requests go by the new rules.
//
// A rule answers with a status and a text:
//   '200 /page.html'    serve this file, which may be another than was asked for
//   '301 /elsewhere'    go there (also 302, 303, 307, 308)
//   '403 why'           no (any status from 400 on)

const MOVED = new Map([
  ['/old.html', '/'],
  ['/haft', 'https://www.npmjs.com/package/haft'],
]);
const NOT_WELCOME = /\b(greedybot|mirrorbot)\b/i;
const DOWNLOADS_A_MINUTE = 30;

export default (registry) => {
  // A function of the C program. It counts there, so the counts outlive these rules.
  const host = registry.host({ requests: { args: ['str'], returns: 'u32' } });

  async function decide(method, path, address, agent) {
    if (NOT_WELCOME.test(agent)) return '403 no robots of that sort';
    if (method !== 'GET' && method !== 'HEAD') return '405 this is for reading only';
    if (MOVED.has(path)) return `301 ${MOVED.get(path)}`;
    if (path.startsWith('/private/') && address !== '127.0.0.1') return '404 there is no such page';
    if (path.startsWith('/downloads/') && (await host.requests(address)) > DOWNLOADS_A_MINUTE)
      return '429 too many requests, come back in a minute';
    if (path === '/today') return new Date().getDay() % 6 ? '200 /work.html' : '200 /weekend.html';
    return `200 ${path}`;
  }

  registry.publish('decide', registry.fn({ args: ['str', 'str', 'str', 'str'], returns: 'str' }, decide));
};
