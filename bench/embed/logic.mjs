// The logic of the bench `embed` for haft, alike under `haft run` and in a program that embeds it.
import { kind } from 'haft';
import { Rules } from './rules.mjs';

class TimedRules extends Rules {
  // Computes for so many microseconds; gives what it really took.
  work(microseconds) {
    const began = performance.now();
    let took = 0;
    while (took < microseconds) took = (performance.now() - began) * 1000;
    return took;
  }
}

const TimedRulesKind = kind(TimedRules, {
  add: { args: ['f64'], returns: 'f64' },
  sum: { args: ['str'], returns: 'f64' },
  work: { args: ['f64'], returns: 'f64' },
});

export default (registry) => {
  registry.publish('rules', registry.create(new TimedRules(), TimedRulesKind));
};
