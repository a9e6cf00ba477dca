// An earlier commit of haft, for --against: built in a git worktree inside build/, and measured by the drivers of today,
// whose table of functions begins with the one of then.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Refusal } from './refusal.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

function git(...args) {
  const { status, stdout, stderr, error } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Refusal(`git ${args[0]}: ${(stderr || error?.message || '').trim()}`);
  return stdout.trim();
}

// The commit's files, and the packages of today: prepare.mjs installs others only where that commit asks for them.
function checkOut(sha, folder) {
  git('worktree', 'prune'); // of a folder that somebody has removed
  git('worktree', 'add', '--detach', folder, sha);
}

function copyPackages(folder) {
  const to = path.join(folder, 'node_modules');
  if (fs.existsSync(to)) return;
  fs.cpSync(path.join(root, 'node_modules'), to, {
    recursive: true,
    verbatimSymlinks: true,
    mode: fs.constants.COPYFILE_FICLONE,
  });
}

// Returns { subject, folder }. What has been built before is not built again.
export function buildCommit(commit) {
  const sha = git('rev-parse', '--verify', '--end-of-options', `${commit}^{commit}`);
  const short = git('rev-parse', '--short', sha);
  const folder = path.join(root, 'build', 'against', short);
  if (!fs.existsSync(folder)) checkOut(sha, folder);
  copyPackages(folder);
  process.stderr.write(`haft: preparing ${short} in ${path.relative(process.cwd(), folder)}\n`);
  const prepared = spawnSync(process.execPath, ['scripts/prepare.mjs'], {
    cwd: folder,
    env: { ...process.env, npm_config_prefer_offline: 'true' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (prepared.status !== 0) throw new Refusal(`The commit ${short} could not be built.`);
  return { subject: `haft@${short}`, folder };
}
