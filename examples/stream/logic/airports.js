// airports.js: airports by state, and the middle of each state's airports. A line is one of airports.csv.
import { dataset } from '../datasets.js';
import { csvDecoder, numberOf } from './csv.js';

const decode = csvDecoder(['iata', 'name', 'city', 'state', 'country', 'latitude', 'longitude']);

/** Degrees are summed as whole billionths: a sum of fractions would depend on the order, which is any. */
const BILLION = 1e9;

export default {
  decode(line) {
    const airport = decode(line);
    return {
      ...airport,
      latitude: numberOf(airport.latitude, 'latitude'),
      longitude: numberOf(airport.longitude, 'longitude'),
    };
  },

  partition(airport) {
    return airport.state === 'NA' ? airport.country : airport.state;
  },

  state() {
    return { airports: 0, latitude: 0, longitude: 0, north: Number.NEGATIVE_INFINITY, northernmost: '' };
  },

  compute(state, airport) {
    state.airports++;
    state.latitude += Math.round(airport.latitude * BILLION);
    state.longitude += Math.round(airport.longitude * BILLION);
    // For the same reason the name decides where two are equally far north.
    const { latitude, name } = airport;
    if (latitude > state.north || (latitude === state.north && name < state.northernmost)) {
      state.north = latitude;
      state.northernmost = name;
    }
  },

  encode(_key, { airports, latitude, longitude, northernmost }) {
    return JSON.stringify({
      airports,
      latitude: Number((latitude / airports / BILLION).toPrecision(9)),
      longitude: Number((longitude / airports / BILLION).toPrecision(9)),
      northernmost,
    });
  },
};

export const input = () => dataset('airports.csv');
