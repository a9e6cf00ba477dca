/* Signals a realm for the tests of plugins: JavaScript calls this through koffi. */
#include <haft.h>

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

HAFT_EXPORT int32_t signal_realm(haft_realm realm);
HAFT_EXPORT int32_t signal_realm(haft_realm realm) { return haft_signal(realm, HAFT_EVENT_USER(0)); }
