// A web server: libmicrohttpd has the sockets and the threads, JavaScript the handlers, which may be async.
import { promisify } from 'node:util';
import { kind } from 'haft';
import koffi from 'koffi';
import { load } from '../library.js';

const library = load('libmicrohttpd.so.12', 'examples/microhttpd', 'libmicrohttpd12');
const start = library.func(
  'void *MHD_start_daemon(unsigned int flags, uint16_t port, void *accept, void *acceptData,' +
    ' void *access, void *accessData, ...)',
);
const daemonInfo = library.func('uint16_t *MHD_get_daemon_info(void *daemon, int what, ...)');
const quiesce = library.func('int MHD_quiesce_daemon(void *daemon)');
const stop = library.func('void MHD_stop_daemon(void *daemon)');
const suspend = library.func('void MHD_suspend_connection(void *connection)');
const resume = library.func('void MHD_resume_connection(void *connection)');
const createResponse = library.func(
  'void *MHD_create_response_from_buffer(size_t size, const void *body, int mode)',
);
const addHeader = library.func(
  'int MHD_add_response_header(void *response, const char *name, const char *value)',
);
const queueResponse = library.func(
  'int MHD_queue_response(void *connection, unsigned int status, void *response)',
);
const destroyResponse = library.func('void MHD_destroy_response(void *response)');
const closeSocket = koffi.load('libc.so.6').func('int close(int socket)');

// From microhttpd.h.
const NO = 0;
const YES = 1;
const USE_INTERNAL_POLLING_THREAD = 8;
const ALLOW_SUSPEND_RESUME = 8192 | 1024;
const OPTION_END = 0;
const OPTION_CONNECTION_TIMEOUT = 3;
const OPTION_NOTIFY_COMPLETED = 4;
const OPTION_SOCK_ADDR = 6;
const OPTION_THREAD_POOL_SIZE = 14;
const INFO_BIND_PORT = 6;
const MUST_COPY = 2;

const LOOPBACK = Uint8Array.of(2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0); // a sockaddr_in; any port

/** One request, while it is under way. C keeps its handle in `*con_cls`. */
class Request {
  #parts = [];
  constructor(method, path) {
    this.method = method;
    this.path = path;
  }
  receive(bytes) {
    this.#parts.push(bytes);
  }
  get body() {
    return Buffer.concat(this.#parts).toString();
  }
}
const RequestKind = kind(Request, {});

export class Server {
  #registry;
  #handlers;
  #answer;
  #daemon;
  #underWay = 0; // requests
  #whenIdle;
  #closing = false;
  #closed = false;

  /** Where it listens, on the loopback interface. */
  port;

  /** `answer(request)` gives `{ status, body }`, or promises it. */
  constructor(registry, threads, answer) {
    this.#registry = registry;
    this.#answer = answer;
    // Both functions have one user data, as one object with a method for each.
    const group = registry.trampolines({
      access: {
        args: [
          'void *',
          'struct MHD_Connection *',
          'const char *', // path
          'const char *', // method
          'const char *', // version
          'const void *', // a part of the body
          'size_t *',
          'void **',
        ],
        returns: 'int',
        userData: 0,
        onError: NO,
      },
      completed: { args: ['void *', 'struct MHD_Connection *', 'void **', 'int'], userData: 0 },
    });
    this.#handlers = group.bind({
      access: (connection, path, method, _version, part, size, state) =>
        this.#access(connection, path, method, part, size, state),
      completed: (_connection, state) => this.#completed(state),
    });
    const { pointer, userData } = this.#handlers;
    this.#daemon = start(
      USE_INTERNAL_POLLING_THREAD | ALLOW_SUSPEND_RESUME,
      0,
      null,
      null,
      pointer.access,
      userData,
      ...['int', OPTION_NOTIFY_COMPLETED, 'void *', pointer.completed, 'void *', userData],
      ...['int', OPTION_THREAD_POOL_SIZE, 'unsigned int', threads],
      ...['int', OPTION_CONNECTION_TIMEOUT, 'unsigned int', 10], // seconds
      ...['int', OPTION_SOCK_ADDR, 'void *', LOOPBACK],
      ...['int', OPTION_END],
    );
    if (this.#daemon === null) throw new Error('MHD_start_daemon failed');
    this.port = koffi.decode(daemonInfo(this.#daemon, INFO_BIND_PORT), 'uint16_t');
  }

  // Called by a thread of the library, which waits: at the head of a request, at each part of its body, at its end.
  #access(connection, path, method, part, size, state) {
    if (this.#closed) return NO; // the library ends the connection
    const handle = koffi.decode(state, 'uint64_t');
    if (handle === 0) {
      this.#underWay++;
      koffi.encode(state, 'uint64_t', this.#registry.create(new Request(method, path), RequestKind));
      return YES;
    }
    const request = this.#registry.get(handle, RequestKind);
    const bytes = koffi.decode(size, 'size_t');
    if (bytes > 0) {
      request.receive(koffi.decode(part, 'uint8_t', bytes));
      koffi.encode(size, 'size_t', 0); // all of it is taken
      return YES;
    }
    // The library takes answers from other threads than its own for suspended connections only. Meanwhile its thread
    // serves others.
    suspend(connection);
    this.#respond(connection, request);
    return YES;
  }

  async #respond(connection, request) {
    let answer;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      answer = { status: 500, body: String(error) };
    }
    const body = Buffer.from(answer.body);
    const response = createResponse(body.length, body, MUST_COPY);
    addHeader(response, 'Content-Type', 'text/plain; charset=utf-8');
    if (this.#closing) addHeader(response, 'Connection', 'close');
    if (queueResponse(connection, answer.status, response) === NO)
      throw new Error('MHD_queue_response failed');
    destroyResponse(response); // the connection has its own reference
    resume(connection);
  }

  // The last of a request, however it ended: answered, given up by the client, too slow.
  #completed(state) {
    const handle = koffi.decode(state, 'uint64_t');
    if (handle === 0) return;
    this.#registry.delete(handle);
    if (--this.#underWay === 0) this.#whenIdle?.();
  }

  /** Takes no more connections, answers what has been asked, and ends the library's threads. */
  async stop() {
    this.#closing = true;
    closeSocket(quiesce(this.#daemon));
    if (this.#underWay > 0) {
      await new Promise((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    this.#closed = true;
    // It joins its threads, and they may wait for JavaScript: on JavaScript's own thread both would wait for ever.
    await promisify(stop.async)(this.#daemon);
    this.#handlers.unbind();
  }
}
