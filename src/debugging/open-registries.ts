// The registries of this thread that are open: for who looks at all of them.
import type { Registry } from '../registry.js';
import type { Reportable } from './report.js';

export interface OpenRegistry {
  readonly registry: Registry;
  readonly table: Reportable;
}

const open = new Map<Registry, OpenRegistry>();

export function registryOpened(registry: Registry, table: Reportable): void {
  open.set(registry, { registry, table });
}

export function registryClosed(registry: Registry): void {
  open.delete(registry);
}

/** In the order in which they opened. */
export function openRegistries(): OpenRegistry[] {
  return [...open.values()];
}
