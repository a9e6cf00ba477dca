// One subject, one case, once, in a process of its own: `node child.mjs '{"bench","subject","params","quick","folder"}'`,
// with `folder` where haft of another commit is measured. Answers with one line of JSON: { pingPong, results }.
import { addon } from './addon.mjs';
import { benches } from './catalogue.mjs';
import { useHaftOf } from './counter.mjs';

const { bench, subject, params, quick, folder } = JSON.parse(process.argv[2]);
const { measure, needsCalm } = benches[bench];

if (folder !== undefined) useHaftOf(folder);
const pingPong = needsCalm ? addon().pingPong(30) : undefined;
const results = await measure(subject, params, { quick });
process.stdout.write(`${JSON.stringify({ pingPong, results })}\n`);
