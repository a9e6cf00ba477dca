// flights.js: delays of flights by the hour of departure. A line is a JSON object:
// {"delay":171,"distance":2227,"time":0.5}, in minutes, miles and hours.
import { datasetLines } from '../datasets.js';

/** Minutes; an airline calls a flight late above this. */
const LATE = 15;

const FIELDS = ['delay', 'distance', 'time'];

export default {
  decode(line) {
    const flight = JSON.parse(line);
    for (const field of FIELDS) {
      if (!Number.isFinite(flight?.[field])) throw new TypeError(`${field} is not a number`);
    }
    return flight;
  },

  partition(flight) {
    return `${String(Math.floor(flight.time)).padStart(2, '0')}:00`;
  },

  state() {
    return { flights: 0, late: 0, delay: 0, worst: Number.NEGATIVE_INFINITY, miles: 0 };
  },

  compute(hour, flight) {
    hour.flights++;
    hour.delay += flight.delay;
    hour.miles += flight.distance;
    if (flight.delay > LATE) hour.late++;
    if (flight.delay > hour.worst) hour.worst = flight.delay;
  },

  encode(_key, { flights, late, delay, worst, miles }) {
    return JSON.stringify({
      flights,
      late,
      'mean delay': Number((delay / flights).toPrecision(9)),
      'worst delay': worst,
      'mean miles': Number((miles / flights).toPrecision(9)),
    });
  },
};

export const input = () => datasetLines('flights-200k.json');
