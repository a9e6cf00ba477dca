// How a program comes to libhaft_embed: make, CMake, pkg-config, `haft --cflags --libs`, and the amalgamation. Each way is
// gone from the sources to a program that calls its logic, in folders whose names have a space.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './support/child.js';

const TIMEOUT = 180_000;
let folder: string;
/** A copy of the npm package, as an install has it. */
let ours: string;
/** Where the first program of haft_embed.h lies, main.c and logic.mjs. */
let program: string;

const has = (tool: string) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0;

/** The library is compiled fast here, not for speed; nothing of the caller's make has a say. */
function environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const inherited = { ...process.env };
  for (const name of ['CC', 'CXX', 'CFLAGS', 'CPPFLAGS', 'LDFLAGS', 'MAKE', 'MAKEFLAGS', 'HAFT_PACKAGE'])
    delete inherited[name];
  return { ...inherited, CXXFLAGS: '-O0', ...more };
}

/** By a shell, in `program` unless told otherwise; the status must be 0. */
function run(
  command: string,
  { cwd = program, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
) {
  const ended = spawnSync('sh', ['-c', command], {
    cwd,
    encoding: 'utf8',
    env: environment(env),
    timeout: TIMEOUT,
  });
  expect(ended, `${command}\n${ended.stdout}${ended.stderr}`).toMatchObject({ status: 0, signal: null });
  return ended.stdout;
}

const make = (what: string, env: Record<string, string> = {}) =>
  run(`make -s -C '${join(ours, 'native/embed')}' ${what}`, { env });
const greets = (executable: string, env?: Record<string, string>) =>
  expect(run(executable, env ? { env } : {})).toBe('Hello, world!\n');

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft embed '));
  ours = join(folder, 'node_modules', 'haft');
  program = join(folder, 'a program');
  mkdirSync(join(ours, 'build'), { recursive: true });
  mkdirSync(program);
  for (const name of ['native', 'dist', 'package.json'])
    cpSync(join(root, name), join(ours, name), { recursive: true });
  symlinkSync(join(root, 'build', 'Release'), join(ours, 'build', 'Release'));
  symlinkSync(join(root, 'node_modules'), join(ours, 'node_modules'));
  const comment = readFileSync(join(root, 'native/include/haft_embed.h'), 'utf8');
  const code = [...comment.matchAll(/^\*\* {5}(.*)$/gm)].map((match) => match[1]).join('\n');
  const [, logic, main] = /^\/\/ logic.mjs\n(.*)^\/\/ main.c .*?\n(.*)$/ms.exec(code)!;
  writeFileSync(join(program, 'logic.mjs'), logic!);
  writeFileSync(join(program, 'main.c'), main!);
  writeFileSync(
    join(program, 'plus.cc'),
    `#include <haft_embed.h>
    #include <map>
    #include <stdexcept>
    #include <string>
    // Has a C++ runtime of its own, with exceptions, beside the library's.
    int main() {
      std::map<std::string, unsigned> counts;
      counts["x"] = 1;
      haft_embed_options options = HAFT_EMBED_OPTIONS;
      options.script = "none.mjs";
      haft_realm realm;
      const haft_status status = haft_embed_start(&options, &realm);
      try {
        throw std::runtime_error(haft_last_error()->message + std::to_string(counts["x"]));
      } catch (const std::exception &error) {
        const std::string text = error.what();
        return status == HAFT_E_NOT_FOUND && text.find("none.mjs") != std::string::npos ? 0 : 1;
      }
    }`,
  );
  make('');
}, TIMEOUT);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('make', () => {
  it('check: a program in strict C links both libraries', { timeout: TIMEOUT }, () => {
    expect(make('check').match(/^ok: /gm)).toHaveLength(2);
  });

  it('is the second time done at once', { timeout: TIMEOUT }, () => {
    const library = join(ours, 'build/embed/lib/libhaft_embed.a');
    const before = statSync(library).mtimeMs;
    expect(make('all')).toBe('');
    expect(statSync(library).mtimeMs).toBe(before);
  });

  it('the libraries give and take no name but what is said', () => {
    const lib = join(ours, 'build/embed/lib');
    const given = (options: string, library: string) =>
      run(`nm ${options} --defined-only '${join(lib, library)}'`)
        .split('\n')
        .flatMap((line) => / [A-TV-Zu] (\S+)/.exec(line)?.[1] ?? []);
    const declared = readFileSync(join(root, 'native/include/haft_embed.h'), 'utf8');
    const names = [...declared.matchAll(/^HAFT_EXPORT .*?(haft_embed_\w+)\(/gm)]
      .map((match) => match[1]!)
      .sort();
    expect(names).toContain('haft_embed_start_with');
    expect(given('-D', 'libhaft_embed.so').sort()).toEqual(names);
    expect(given('-g', 'libhaft_embed.a').sort()).toEqual(names);
    const needs = run(`readelf -d '${join(lib, 'libhaft_embed.so')}'`);
    expect(needs).toMatch(/SONAME.*libhaft_embed\.so\.1\b/);
    expect(needs).not.toMatch(/NEEDED.*(stdc\+\+|libc\+\+|gcc_s|node)/);
  });

  it('the static library in a plugin outlives its unloading', { timeout: TIMEOUT }, () => {
    const plugin = `#include <haft_embed.h>
      int work(void) {
        haft_embed_options options = HAFT_EMBED_OPTIONS;
        options.script = "logic.mjs";
        options.pool = 2;
        haft_realm realm;
        return haft_embed_start(&options, &realm) == HAFT_OK && haft_embed_stop(realm) == HAFT_OK ? 0 : 1;
      }`;
    const loads = `#include <dlfcn.h>
      #include <unistd.h>
      int main(void) {
        for (int i = 0; i < 3; i++) {
          void *plugin = dlopen("./plugin.so", RTLD_NOW);
          int (*work)(void) = plugin ? (int (*)(void))dlsym(plugin, "work") : 0;
          if (!work || work() != 0 || dlclose(plugin) != 0) return 1;
        }
        usleep(100000); // for threads that would run in what is no more
        return 0;
      }`;
    writeFileSync(join(program, 'plugin.c'), plugin);
    writeFileSync(join(program, 'loads.c'), loads);
    const built = join(ours, 'build/embed');
    run(
      `cc -shared -fPIC plugin.c -I'${built}/include' '${built}/lib/libhaft_embed.a' -pthread -ldl -o plugin.so`,
    );
    run('cc loads.c -ldl -o loads && ./loads');
  });

  it.skipIf(!has('pkg-config'))('install, move, pkg-config, run, uninstall', { timeout: TIMEOUT }, () => {
    make(`install PREFIX=/some/prefix DESTDIR='${join(folder, 'staged')}'`);
    const moved = join(folder, 'moved prefix');
    renameSync(join(folder, 'staged/some/prefix'), moved);
    const env = { PKG_CONFIG_PATH: join(moved, 'lib/pkgconfig') };
    run('pkg-config --atleast-version=1.4 haft_embed', { env });
    run(
      'eval "cc -std=c11 -Wall -Wextra -Werror main.c $(pkg-config --cflags --libs haft_embed) -o shared"',
      { env },
    );
    greets('./shared', { LD_LIBRARY_PATH: join(moved, 'lib') });
    rmSync(join(moved, 'lib/libhaft_embed.so'));
    run('eval "cc main.c $(pkg-config --static --cflags --libs haft_embed) -o static"', { env });
    greets('./static');
    run('eval "c++ -std=c++17 plus.cc $(pkg-config --static --cflags --libs haft_embed) -o plus" && ./plus', {
      env,
    });
    make(`uninstall PREFIX='${moved}'`);
    expect(
      readdirSync(moved, { recursive: true, withFileTypes: true }).filter((one) => !one.isDirectory()),
    ).toEqual([]);
  });

  it.skipIf(!has('pkg-config'))(
    'a folder for libraries of one’s own stands in haft_embed.pc',
    { timeout: TIMEOUT },
    () => {
      const place = join(folder, 'else where');
      make(`install PREFIX='${place}' LIBDIR='${place}/lib/triplet'`);
      const env = { PKG_CONFIG_PATH: join(place, 'lib/triplet/pkgconfig') };
      run('eval "cc main.c $(pkg-config --static --cflags --libs haft_embed) -o at"', {
        env,
      });
      greets('./at', { LD_LIBRARY_PATH: join(place, 'lib/triplet') });
    },
  );
});

describe('a compiler without libstdc++.a', () => {
  it.skipIf(!has('pkg-config'))('leaves the C++ runtime outside, and says so', { timeout: TIMEOUT }, () => {
    const compiler = join(program, 'bare-cxx');
    const found = 'case $1 in -print-file-name=*) echo "$1" | cut -d= -f2 ;; *) exec c++ "$@" ;; esac';
    writeFileSync(compiler, `#!/bin/sh\n${found}\n`, { mode: 0o755 });
    const said = make(`static BUILD=../../build/bare CXX=bare-cxx 2>&1`, {
      PATH: `${program}:${process.env.PATH}`,
    });
    expect(said).toContain('programs in C link the static library with -lstdc++');
    const env = { PKG_CONFIG_PATH: join(ours, 'build/bare/lib/pkgconfig') };
    expect(run('pkg-config --static --libs haft_embed', { env })).toContain('-lstdc++');
    run('eval "cc main.c $(pkg-config --static --cflags --libs haft_embed) -o bare"', { env });
    greets('./bare');
  });
});

describe('the amalgamation', () => {
  let place: string;
  beforeAll(() => {
    place = join(folder, 'one file');
    cpSync(join(ours, 'build/embed/amalgamation'), place, { recursive: true });
    writeFileSync(join(place, 'main.c'), readFileSync(join(program, 'main.c')));
  });

  it('is three files, and the same each time', () => {
    expect(readdirSync(join(ours, 'build/embed/amalgamation')).sort()).toEqual([
      'haft.h',
      'haft_embed.cc',
      'haft_embed.h',
    ]);
    const again = run(`sh '${join(ours, 'native/embed/amalgamate.sh')}'`);
    expect(again === readFileSync(join(place, 'haft_embed.cc'), 'utf8')).toBe(true);
    expect(again.match(/#include "[^"]+"/g)).toEqual(['#include "haft_embed.h"']);
  });

  it.each(['g++', 'clang++'].filter(has))(
    'compiles alone, without a warning: %s',
    { timeout: TIMEOUT },
    (cxx) => {
      const flags = '-O1 -std=c++17 -fno-exceptions -fno-rtti -Wall -Wextra -Werror';
      run(`${cxx} ${flags} -c haft_embed.cc -o ${cxx}.o`, { cwd: place });
      run(`cc -I. main.c ${cxx}.o -lstdc++ -pthread -ldl -o '${join(program, 'one')}'`, { cwd: place });
      greets('./one', { HAFT_PACKAGE: ours });
    },
  );

  it('as C it is one error that says what to do', () => {
    const { status, stderr } = spawnSync('cc', ['-x', 'c', '-c', 'haft_embed.cc'], {
      cwd: place,
      encoding: 'utf8',
    });
    expect(status).not.toBe(0);
    expect(stderr.match(/\berror:/g)).toHaveLength(1);
    expect(stderr).toContain('c++ -std=c++17 -c haft_embed.cc');
  });
});

describe.skipIf(!has('cmake') || !has('pkg-config'))('CMake', () => {
  const lists = (find: string) => `
    cmake_minimum_required(VERSION 3.16)
    project(main C)
    ${find}
    foreach(library embed embed_static)
      add_executable(with_\${library} main.c)
      target_link_libraries(with_\${library} PRIVATE haft::\${library})
    endforeach()`;

  function builds(name: string, find: string) {
    const source = join(program, name);
    mkdirSync(source);
    writeFileSync(join(source, 'main.c'), readFileSync(join(program, 'main.c')));
    writeFileSync(join(source, 'CMakeLists.txt'), lists(find));
    run('cmake -S . -B out && cmake --build out', { cwd: source });
    for (const library of ['embed', 'embed_static']) greets(`./${name}/out/with_${library}`);
  }

  it('add_subdirectory, from a project in C', { timeout: TIMEOUT }, () => {
    builds('subdirectory', `add_subdirectory("${ours}/native/embed" haft_embed)`);
  });

  it('find_package, from a project in C', { timeout: TIMEOUT }, () => {
    const prefix = join(folder, 'cmake prefix');
    run(
      `cmake -S '${ours}/native/embed' -B built -DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX='${prefix}'`,
    );
    run('cmake --build built && cmake --install built');
    builds('package', `set(CMAKE_PREFIX_PATH "${prefix}")\nfind_package(haft_embed 1.4 REQUIRED)`);
    const env = { PKG_CONFIG_PATH: join(prefix, 'lib/pkgconfig') };
    run(
      'eval "cc main.c $(pkg-config --static --cflags --libs haft_embed) -Wl,-rpath,\\"$PREFIX/lib\\" -o by_cmake"',
      {
        env: { ...env, PREFIX: prefix },
      },
    );
    greets('./by_cmake');
  });
});

describe('haft --cflags --libs', () => {
  const flags = (options: string) => `"${process.execPath}" '${join(ours, 'dist/cli.js')}' ${options}`;

  it.each(['--cflags --libs', '--cflags --libs --static'])('%s', { timeout: TIMEOUT }, (options) => {
    run(`eval "cc main.c $(${flags(options)}) -o by_flags"`);
    greets('./by_flags');
    rmSync(join(program, 'by_flags'));
  });

  it('in a Makefile whose own variables are for others', { timeout: TIMEOUT }, () => {
    writeFileSync(
      join(program, 'Makefile'),
      `main: main.c\n\tcc $< $(shell ${flags('--cflags --libs')}) -o $@\n`,
    );
    run('make -s BUILD=elsewhere CXXFLAGS=--no-such-flag main');
    greets('./main');
    expect(existsSync(join(program, 'elsewhere'))).toBe(false);
  });

  describe('of a package without its addon', () => {
    const release = () => join(ours, 'build/Release');
    beforeAll(() => rmSync(release()));
    afterAll(() => symlinkSync(join(root, 'build', 'Release'), release()));

    it('prints the same, and tells how to build that', { timeout: TIMEOUT }, () => {
      const { status, stdout, stderr } = spawnSync('sh', ['-c', flags('--libs')], {
        encoding: 'utf8',
        env: environment(),
      });
      expect({ status, stdout }).toMatchObject({
        status: 0,
        stdout: expect.stringContaining('-lhaft_embed'),
      });
      expect(stderr).toMatch(
        /^haft: to run logics .* addon, too: run "npx node-gyp configure build -C .*"$/m,
      );
    });

    it('a start says the same', { timeout: TIMEOUT }, () => {
      run(`eval "cc main.c $(${flags('--cflags --libs')}) -o by_flags"`);
      const { status, stderr } = spawnSync('./by_flags', {
        cwd: program,
        encoding: 'utf8',
        env: environment(),
      });
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /^HAFT_E_UNSUPPORTED: the addon could not be loaded[\s\S]*run "npx node-gyp configure build/,
      );
    });
  });

  describe('what is missing is said in a sentence', () => {
    const fails = (env: Record<string, string>) => {
      const { status, stdout, stderr } = spawnSync('sh', ['-c', flags('--libs')], {
        encoding: 'utf8',
        env: environment(env),
      });
      expect(status).toBe(1);
      expect(stdout).toBe('');
      expect(stderr).not.toMatch(/\n\s+at /);
      return stderr;
    };
    let kept: string;
    beforeAll(() => {
      kept = join(folder, 'kept');
      renameSync(join(ours, 'build/embed'), kept);
    });
    afterAll(() => {
      rmSync(join(ours, 'build/embed'), { recursive: true, force: true });
      renameSync(kept, join(ours, 'build/embed'));
    });

    it('make', () => {
      expect(fails({ MAKE: 'no-such-make' })).toMatch(
        /^haft: libhaft_embed has to be built.*install make and g\+\+/m,
      );
    });

    it('a compiler', () => {
      const text = fails({ CXX: 'no-such-compiler' });
      expect(text).toContain('no-such-compiler');
      expect(text).toMatch(/^haft: libhaft_embed does not build; .*BUILD=FOLDER/m);
    });
  });
});

it('the first program of docs/embed.md does what the page says, by its commands', {
  timeout: TIMEOUT,
}, () => {
  // What `npm install` makes, in a folder whose name needs no `eval`.
  const project = mkdtempSync(join(tmpdir(), 'haft-embed-'));
  try {
    mkdirSync(join(project, 'node_modules', '.bin'), { recursive: true });
    symlinkSync(root, join(project, 'node_modules', 'haft'));
    symlinkSync(join(root, 'dist', 'cli.js'), join(project, 'node_modules', '.bin', 'haft'));
    writeFileSync(join(project, 'package.json'), '{}\n');
    const page = readFileSync(join(root, 'docs', 'embed.md'), 'utf8');
    const block = (language: string) =>
      new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(page)![1]!;
    writeFileSync(join(project, 'rules.mjs'), block('js'));
    writeFileSync(join(project, 'filter.c'), block('c'));
    const [install, addon, compile, filter] = block('console').split(/^\$ /m).slice(1);
    expect(install).toBe('npm install haft\n');
    expect(addon).toBe('npx node-gyp configure build -C node_modules/haft\n');
    run(compile!.trim(), { cwd: project });
    const [command, ...output] = filter!.split('\n');
    expect(run(command!, { cwd: project })).toBe(output.join('\n'));
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
});
