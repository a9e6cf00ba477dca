// A worker of the soak, with a realm of its own: does what the main thread says, and answers each message.
import { parentPort, workerData } from 'node:worker_threads';
import { SoakRealm } from './realm.mjs';

const realm = new SoakRealm(workerData);
const acts = {
  collect: () => gc(),
  drained: () => realm.drained(),
  ask: () => realm.ask(),
  close: () => realm.close(),
};

parentPort.on('message', async (act) => {
  parentPort.postMessage({ act, answer: await acts[act]() });
  if (act === 'close') parentPort.close();
});
parentPort.postMessage({ act: 'open' });
