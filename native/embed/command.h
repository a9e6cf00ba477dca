// The command line of a logic's child: which node, its arguments, its environment.
#pragma once

#include <string>
#include <vector>

#include "haft_embed.h"

namespace haft {

struct Settings {  // haft_embed_options, copied, with what is 0 or NULL filled in
  haft_embed_options given;  // numbers and functions; its pointers to text are not to be used
  std::string script, node, oldest_node, directory, package, output_file;
  std::string search_path;  // where `node` is looked for, if it is a name
  bool has_directory, has_package;
  std::vector<std::string> node_args, args, environment;
  std::vector<haft_embed_function> functions;  // names in `function_names`
  std::vector<std::string> function_names;
};

// HAFT_E_ARGUMENT, with a text.
haft_status settings_read(const haft_embed_options *options, Settings *settings);

struct Command {
  std::string program;
  std::vector<std::string> arguments, environment;
};

// HAFT_E_NOT_FOUND, with a text: there is no such script or node.
haft_status command_make(const Settings &settings, Command *command);

// As execve wants them. Valid while `texts` is.
std::vector<char *> pointers_to(const std::vector<std::string> &texts);

}  // namespace haft
