// What `haft inspect` cannot do, as a sentence for its user, with the next step.

export class Problem extends Error {}
