// Who serves native code, why, and why not the addon.
import { existsSync } from 'node:fs';
import { type Backend, backend } from '../backend.js';
import { addon, addonCandidates, howToBuild } from '../binding.js';
import { checkSetting } from '../checks.js';
import { HaftError } from '../errors.js';
import { type Finding, failure, ok, warning, withoutNext } from './finding.js';

const WITHOUT = 'docs/backends.md says what works without it';

/** What serves, if anything does. */
export function serving(): [findings: Finding[], serves: Backend | undefined] {
  try {
    checkSetting();
  } catch {
    return [[none('not chosen: HAFTCHECK is wrong')], undefined]; // told where the environment is
  }
  try {
    const serves = backend();
    return [[chosen(serves), addonItself(serves.name === 'koffi')], serves];
  } catch (error) {
    const itself = addonItself(false);
    if (itself.state === 'failure') return [[none('none: the addon does not load'), itself], undefined];
    const next = error instanceof HaftError ? error.next : howToBuild();
    return [[failure('backend', 'backend', `none: ${withoutNext(error)}`, next), itself], undefined];
  }
}

function none(value: string): Finding {
  return { id: 'backend', title: 'backend', state: 'skipped', value };
}

function chosen({ name }: Backend): Finding {
  const { HAFT_BACKEND } = process.env;
  if (HAFT_BACKEND) return ok('backend', 'backend', `${name}, since HAFT_BACKEND says so`);
  if (name === 'addon') return ok('backend', 'backend', 'addon, the one that is preferred');
  return warning(
    'backend',
    'backend',
    'koffi, since the addon cannot be loaded: see there',
    `${howToBuild()}; ${WITHOUT}`,
  );
}

// The addon, whoever serves: it is only a warning where koffi does.
function addonItself(isReplaced: boolean): Finding {
  const path = addonCandidates().find((candidate) => existsSync(candidate));
  try {
    addon();
    return ok('addon', 'addon', `${path}, of this version`);
  } catch (error) {
    const next = error instanceof HaftError ? error.next : howToBuild();
    const tell = isReplaced ? warning : failure;
    return tell(
      'addon',
      'addon',
      withoutNext(error),
      process.env.HAFT_ADDON ? `${next}, or unset HAFT_ADDON` : next,
    );
  }
}
