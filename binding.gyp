# The native targets; scripts/prepare.mjs builds them into build/Release. Sources are found by folder, so that a new
# file needs no line here. Each target is made only when its folder has sources (the published package has fewer).
{
  'variables': {
    # The core (no Node header) and the edge (Node-API).
    'haft_sources': [
      '<!@(node -p "[\'native\',\'native/core\'].flatMap(d=>fs.existsSync(d)?fs.readdirSync(d).filter(f=>/[.](cc|S)$/.test(f)).sort().map(f=>d+\'/\'+f):[]).join(\' \')")',
    ],
    'baselines_sources': [
      '<!@(node -p "[\'examples/stream/baselines\'].flatMap(d=>fs.existsSync(d)?fs.readdirSync(d).filter(f=>f.endsWith(\'.cc\')).sort().map(f=>d+\'/\'+f):[]).join(\' \')")',
    ],
    'peers_sources': [
      '<!@(node -p "[\'bench/native\'].flatMap(d=>fs.existsSync(d)?fs.readdirSync(d).filter(f=>f.endsWith(\'.cc\')).sort().map(f=>d+\'/\'+f):[]).join(\' \')")',
    ],
  },
  'target_defaults': {
    'include_dirs': ['native/include', 'native', 'native/core', '<!(node -p "require(\'node-addon-api\').include_dir")'],
    # Where JavaScript is being terminated nothing can be thrown: node-addon-api's own switch for that.
    'defines': [
      'NAPI_VERSION=8', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED',
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ],
    'cflags': ['-O3', '-fvisibility=hidden', '-Wall', '-Wextra', '-pthread'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++17', '-fno-exceptions', '-fvisibility-inlines-hidden'],
    'conditions': [
      # The image stays mapped to the end of the process: no thread may return into code that is gone.
      ['OS=="linux"', {'ldflags': ['-Wl,-z,nodelete'], 'libraries': ['-pthread', '-ldl']}],
      ['OS=="mac"', {
        'xcode_settings': {
          'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
          'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
          'GCC_OPTIMIZATION_LEVEL': '3',
          'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
          'MACOSX_DEPLOYMENT_TARGET': '11.0',
          'WARNING_CFLAGS': ['-Wall', '-Wextra'],
        },
      }],
    ],
  },
  'targets': [],
  'conditions': [
    ['"<(haft_sources)"!=""', {
      'targets': [
        # As one unit for the optimiser: a post is a dozen small functions in five files.
        {'target_name': 'haft', 'sources': ['<@(haft_sources)'], 'cflags': ['-flto'], 'ldflags': ['-flto']},
        # For tests of generation wrap and of a full table.
        {
          'target_name': 'haft_small',
          'sources': ['<@(haft_sources)'],
          'defines': ['HAFT_GENERATION_BITS=2', 'HAFT_BLOCKS_MAX=4'],
        },
      ],
    }],
    # The tables that the example is compared with. They and the peers may throw C++ exceptions.
    ['"<(baselines_sources)"!=""', {
      'targets': [
        {
          'target_name': 'baselines',
          'sources': ['<@(baselines_sources)'],
          'cflags_cc!': ['-fno-exceptions'],
          'cflags_cc': ['-fexceptions'],
          'xcode_settings': {'GCC_ENABLE_CPP_EXCEPTIONS': 'YES'},
        },
      ],
    }],
    # What the benchmarks are compared with.
    ['"<(peers_sources)"!=""', {
      'targets': [
        {
          'target_name': 'peers',
          'sources': ['<@(peers_sources)'],
          'include_dirs': ['examples/stream/baselines'],
          'cflags_cc!': ['-fno-exceptions'],
          'cflags_cc': ['-fexceptions'],
          'xcode_settings': {'GCC_ENABLE_CPP_EXCEPTIONS': 'YES'},
        },
      ],
    }],
  ],
}
