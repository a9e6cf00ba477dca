// Medians and percentiles of measured times.

const ascending = (numbers) => [...numbers].sort((a, b) => a - b);

export function median(numbers) {
  const sorted = ascending(numbers);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// `part` from 0 to 1.
export const percentile = (numbers, part) =>
  ascending(numbers)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))];
