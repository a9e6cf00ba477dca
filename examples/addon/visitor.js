// What the scanner's threads call, whichever addon it is.
export class Visitor {
  lines = 0;
  letters = 0;
  sum = 0;
  kept = 0;
  problem = '';
  failures = 0;
  #threads;
  #end;
  /** Settles when every thread has said its end. */
  ended = new Promise((end) => {
    this.#end = end;
  });

  constructor(threads, atLine = () => {}) {
    this.#threads = threads;
    this.atLine = atLine;
  }

  line(text) {
    this.lines++;
    this.letters += text.length;
    this.sum = (this.sum + Number.parseInt(text.slice(-6), 10) * text.length) % 1e9; // in any order
    this.atLine(this);
  }

  end(kept, problem) {
    this.kept += kept;
    this.problem ||= problem;
    if (--this.#threads === 0) this.#end();
  }

  /** What `line` threw. */
  failed(_error) {
    this.failures++;
  }
}
