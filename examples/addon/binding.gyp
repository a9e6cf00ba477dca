# Both addons. The second one needs haft's two headers besides, and nothing to link.
{
  'target_defaults': {
    'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': ['NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
    'cflags_cc!': ['-std=gnu++20'],
    'cflags_cc': ['-std=c++17', '-Wall', '-Wextra'],
  },
  'targets': [
    {'target_name': 'before', 'sources': ['before.cc']},
    {'target_name': 'after', 'sources': ['after.cc'], 'include_dirs': ['<!(npx haft --include)']},
  ],
}
