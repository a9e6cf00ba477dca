/* What `haft run HOST LOGIC -- ARGS` does, in a program that embeds: `host HOST LOGIC ARGS` runs the same haft_host_main
** with the same logic, whose process is a child of this one. */
#include <haft_embed.h>

#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  haft_realm realm;
  int (*host_main)(const haft_api *, haft_realm, int, char **);
  if (argc < 3) return fprintf(stderr, "host HOST LOGIC ARGS\n"), 100;
  void *const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 100;
  *(void **)&host_main = dlsym(library, "haft_host_main");
  if (!host_main) return fprintf(stderr, "%s\n", dlerror()), 100;
  options.script = argv[2];
  options.args = (const char *const *)argv + 3;
  if (haft_embed_start(&options, &realm) != HAFT_OK) return fprintf(stderr, "%s\n", haft_last_error()->message), 100;
  argv[2] = argv[1]; /* argv[0] is the host, the rest are ARGS */
  const int code = host_main(haft_embed_api(), realm, argc - 2, argv + 2);
  const haft_status stopped = haft_embed_stop(realm);
  /* A logic may close its registry, and so end, while its host runs. */
  if (stopped != HAFT_OK && stopped != HAFT_E_CLOSED) return fprintf(stderr, "%s\n", haft_status_name(stopped)), 101;
  return code;
}
