// The logic of the bench `embed`, the same source for haft and for QuickJS.
export class Rules {
  total = 0;

  add(x) {
    this.total += x;
    return this.total;
  }

  // The sum of a record's numbers; the record is JSON.
  sum(text) {
    let sum = 0;
    for (const value of Object.values(JSON.parse(text))) if (typeof value === 'number') sum += value;
    return sum;
  }
}
