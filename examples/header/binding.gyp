# npx node-gyp rebuild: the plugins are in build/Release.
{
  'target_defaults': {
    'include_dirs': ['<!(npx haft --include)', '<(SHARED_INTERMEDIATE_DIR)'],
    'cflags': ['-Wall', '-Wextra'],
    'cflags_cc!': ['-std=gnu++20'],
    'cflags_cc': ['-std=c++17'],
  },
  'targets': [
    {
      'target_name': 'kinds',
      'type': 'none',
      'actions': [{
        'action_name': 'header',
        'inputs': ['kinds.js'],
        'outputs': ['<(SHARED_INTERMEDIATE_DIR)/kinds.h'],
        'action': ['npx', 'haft', 'header', '<@(_inputs)', '--output', '<@(_outputs)'],
      }],
    },
    {
      'target_name': 'plugin_c',
      'type': 'shared_library',
      'product_prefix': '',
      'sources': ['plugin.c'],
      'dependencies': ['kinds'],
    },
    {
      'target_name': 'plugin_cpp',
      'type': 'shared_library',
      'product_prefix': '',
      'sources': ['plugin.cpp'],
      'dependencies': ['kinds'],
    },
  ],
}
