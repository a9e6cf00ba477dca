// birdstrikes.js: what birds did to aircraft, by the phase of the flight. A line is one of birdstrikes.csv.
import { dataset } from '../datasets.js';
import { csvDecoder, numberOf } from './csv.js';

const decode = csvDecoder([
  'Airport Name',
  'Aircraft Make Model',
  'Effect Amount of damage',
  'Flight Date',
  'Aircraft Airline Operator',
  'Origin State',
  'Phase of flight',
  'Wildlife Size',
  'Wildlife Species',
  'Time of day',
  'Cost Other',
  'Cost Repair',
  'Cost Total $',
  'Speed IAS in knots',
]);

export default {
  decode(line) {
    const strike = decode(line);
    const knots = strike['Speed IAS in knots'];
    return {
      phase: strike['Phase of flight'] || 'unknown',
      damaged: strike['Effect Amount of damage'] !== 'None',
      cost: numberOf(strike['Cost Total $'], 'cost'),
      knots: knots === '' ? null : numberOf(knots, 'speed'), // not every report tells it
    };
  },

  partition(strike) {
    return strike.phase;
  },

  state() {
    return { strikes: 0, damaged: 0, cost: 0, knots: 0, timed: 0 };
  },

  compute(phase, strike) {
    phase.strikes++;
    phase.cost += strike.cost;
    if (strike.damaged) phase.damaged++;
    if (strike.knots !== null) {
      phase.knots += strike.knots;
      phase.timed++;
    }
  },

  encode(_key, { strikes, damaged, cost, knots, timed }) {
    return JSON.stringify({
      strikes,
      damaged,
      cost,
      'mean knots': timed > 0 ? Number((knots / timed).toPrecision(9)) : null,
    });
  },
};

export const input = () => dataset('birdstrikes.csv');
