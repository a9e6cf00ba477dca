// A worker: a registry of its own, an account in it, and a function that moves the account to another worker.
import { parentPort, workerData } from 'node:worker_threads';
import { kind, Registry } from 'haft';

class Account {
  constructor(owner, amount = 0) {
    this.owner = owner;
    this.amount = amount;
  }
  deposit(amount) {
    this.amount += amount;
  }
  balance() {
    return this.amount;
  }
  describe() {
    return `${this.owner} has ${this.amount}, in the ${workerData.name} worker`;
  }
}
const AccountKind = kind(
  Account,
  { deposit: { args: ['f64'] }, balance: { returns: 'f64' }, describe: { returns: 'str' } },
  {
    serialize: ({ owner, amount }) => JSON.stringify([owner, amount]),
    deserialize: (text) => new Account(...JSON.parse(text)),
  },
);

const registry = new Registry();
registry.accept(AccountKind);
const account = registry.create(new Account(workerData.owner), AccountKind);
registry.publish('account', account);
registry.publish(
  'move',
  registry.fn({ args: ['f64'] }, (realm) => registry.moveTo(account, realm)),
);

parentPort.once('message', () => registry.close());
parentPort.postMessage(registry.id);
