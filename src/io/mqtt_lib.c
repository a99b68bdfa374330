/* SPDX-License-Identifier: Apache-2.0 */
/* mqtt_lib - loads libmosquitto, and libssl which comes with it, when the first link wants them. See mqtt_int.h. */
#include <dlfcn.h>
#include <pthread.h>

#include "base/check.h"
#include "io/mqtt_int.h"

static struct mqtt_lib lib;
static bool loaded;

/* dlsym() on libmosquitto's handle finds what its own libraries have, too: so it is the libssl that it uses. */
static void load(void)
{
	static const char *const names[] = {
#define NAME(name) #name,
	        MQTT_LIB_FUNCTIONS(NAME)
#undef NAME
	};
	void *l = dlopen("libmosquitto.so.1", RTLD_NOW | RTLD_LOCAL), *at[ARRAY_LEN(names)];

	if (!l)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		at[i] = dlsym(l, names[i]);
		if (!at[i])
			return;
	}
	_Static_assert(sizeof(at) == sizeof(lib), "a name for each function");
	memcpy(&lib, at, sizeof(at)); /* POSIX: what dlsym gives may be called */
	loaded = lib.mosquitto_lib_init() == MOSQ_ERR_SUCCESS;
}

const struct mqtt_lib *mqtt_lib(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, load);
	if (loaded)
		return &lib;
	(void)err_set(
	        e, ERR_NOTFOUND, "libmosquitto is not on this machine; without it there is no link to a hub");
	(void)err_hint(e, "install Debian's package libmosquitto1");
	return NULL;
}
