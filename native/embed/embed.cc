// The functions of haft_embed.h.
#include <memory>

#include "api.h"
#include "error.h"
#include "haft_embed.h"
#include "logic.h"
#include "program.h"

using namespace haft;

const haft_api *haft_embed_api(void) { return api_table(); }

haft_status haft_embed_start_with(const haft_embed_options *options, haft_realm *realm) {
  if (!realm) return fail(HAFT_E_ARGUMENT);
  *realm = 0;
  haft_status status = program_prepare();
  if (status != HAFT_OK) return status;
  Settings settings;
  status = settings_read(options, &settings);
  if (status != HAFT_OK) return status;
  const auto logic = std::make_shared<Logic>(std::move(settings));
  status = logic_enter(logic);
  if (status != HAFT_OK) return status;
  status = logic->start(realm);
  if (status != HAFT_OK) logic_leave(logic.get());
  return status;
}

haft_status haft_embed_stop(haft_realm realm) {
  std::shared_ptr<Logic> logic;
  const haft_status status = logic_of(realm, &logic);
  return status == HAFT_OK ? logic->stop() : status;
}

haft_status haft_embed_realm(haft_realm realm, int64_t timeout_ms, haft_realm *now) {
  if (!now) return fail(HAFT_E_ARGUMENT);
  *now = 0;
  std::shared_ptr<Logic> logic;
  const haft_status status = logic_of(realm, &logic);
  return status == HAFT_OK ? logic->realm_now(timeout_ms, now) : status;
}

haft_status haft_embed_pid(haft_realm realm, int32_t *pid) {
  if (!pid) return fail(HAFT_E_ARGUMENT);
  *pid = 0;
  std::shared_ptr<Logic> logic;
  const haft_status status = logic_of(realm, &logic);
  return status == HAFT_OK ? logic->pid(pid) : status;
}

const char *haft_embed_reason_text(haft_embed_reason reason) {
  switch (reason) {
#define HAFT_EMBED_REASON_TEXT(name, number, text) \
  case HAFT_EMBED_##name:                          \
    return text;
    HAFT_EMBED_REASON_MAP(HAFT_EMBED_REASON_TEXT)
#undef HAFT_EMBED_REASON_TEXT
  }
  return "unknown reason";
}
