// HAFT_TRACE in the core: many threads at once, texts that have to be escaped, a child, and a limit. Each line of the file
// is one whole event, as many as there were calls; no data race.
// timeout: 120
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "support.h"
#include "trace.h"

using namespace test;

namespace {

constexpr int kThreads = 4;
constexpr haft_handle kForged = 42;
const char kName[] = "a \"name\"\\\n\x01\xff";

// Two events a round. None of them needs a realm.
void work(const haft_api *api, int rounds) {
  haft_value one = haft_value_f64(1);
  haft_handle found;
  for (int i = 0; i < rounds; i++) {
    CHECK_STATUS(api->post(kForged, 1, &one, 1, HAFT_FAIL), HAFT_E_FORGED);
    CHECK(api->last_error()->status == HAFT_E_FORGED);
    CHECK_STATUS(api->find(1, kName, 0, 0, &found), HAFT_E_CLOSED);
  }
}

int child(const haft_api *api) {
  haft_value one = haft_value_f64(1);
  const bool refused = api->post(kForged, 1, &one, 1, HAFT_FAIL) == HAFT_E_FORKED;
  trace_write("no event,\n", 10);
  trace_flush();
  return refused ? 0 : 1;
}

struct Counts {
  int posts = 0, finds = 0, names = 0, others = 0;
};

bool ends_with(const std::string &text, const std::string &end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Counts count(const std::string &path) {
  std::ifstream file(path);
  std::string line;
  Counts counts;
  CHECK(std::getline(file, line) && line == "[");
  while (std::getline(file, line)) {
    CHECK(!file.eof());  // the last one too has its end
    CHECK(line.rfind("{\"ph\":\"", 0) == 0 && ends_with(line, "}},"));
    for (const char c : line) CHECK((unsigned char)c >= 0x20 && (unsigned char)c < 0x7f);
    const bool posted = line.find("\"name\":\"post op 1\"") != std::string::npos;
    const bool found = line.find("\"name\":\"find a \\\"name\\\"\\\\\\u000a\\u0001?\"") != std::string::npos;
    const bool named = line.find("\"name\":\"thread_name\"") != std::string::npos;
    if (posted) CHECK(line.find("\"status\":\"HAFT_E_FORGED\",\"handle\":\"42\"") != std::string::npos);
    if (found) CHECK(line.find("\"status\":\"HAFT_E_CLOSED\"") != std::string::npos);
    (posted ? counts.posts : found ? counts.finds : named ? counts.names : counts.others)++;
  }
  return counts;
}

}  // namespace

int main() {
  const std::string folder = std::string(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
  const std::string given = folder + "/haft-trace-test-%p.json";
  const std::string path = folder + "/haft-trace-test-" + std::to_string(getpid()) + ".json";
  setenv("HAFT_TRACE", given.c_str(), 1);
  CHECK(trace_on() && trace_problem().empty());
  const haft_api *api = api_table();
  CHECK(api == api_table());
  const int rounds = 3000;

  say("threads");
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; i++) threads.emplace_back([api] { work(api, rounds); });
  for (std::thread &thread : threads) thread.join();

  say("a child");  // P26
  const pid_t pid = fork();
  if (pid == 0) _exit(child(api));
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);

  say("the file");
  trace_flush();
  const Counts counts = count(path);
  unlink(path.c_str());
  CHECK(counts.posts == kThreads * rounds);
  CHECK(counts.finds == kThreads * rounds);
  CHECK(counts.names == kThreads);
  CHECK(counts.others == 0);
  return 0;
}
