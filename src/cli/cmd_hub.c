/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_hub - `osier hub`, `osier join` and `osier leave`: many machines. */
#include "cli/commands.h"
#include "cli/hub_broker.h"
#include "cli/hub_standby.h"
#include "cli/nodeproc.h"
#include "cli/record_option.h"

#define LINE_BYTES 1024u

/* Several machines begin with one command each: a node that is not up is started. */
static int connect_or_start(struct cli *c, struct err *e)
{
	struct nodeproc *n = NULL;

	if (cli_connect(c, e) == 0)
		return 0;
	if (e->code != ERR_CLOSED)
		return -1;
	if (!c->state_dir && state_folder(args_value(&c->args, "state"), &c->state_dir, e) < 0)
		return -1;
	if (state_kept(c->state_dir) || state_folder_make(c->state_dir, e) < 0 || record_option(c, "", e) < 0)
		return -1;
	term_catch_interrupts();
	if (nodeproc_start(c->state_dir, NODE_DETACHED, NULL, &n, e) < 0)
		return -1;
	nodeproc_forget(n);
	return cli_connect(c, e);
}

/* ---- hub ---- */

static const struct option_def hub_options[] = {
        {0, "address", "HOST",
                "a name or address by which nodes reach this machine; may be given several times, the "
                "first stands in the line to paste (default: all it has)",
                COMPLETE_NOTHING, NULL},
        {0, "port", "PORT", "listen for nodes there (HTTPS; default 7443)", COMPLETE_NOTHING, NULL},
        {0, "listen", "ADDRESS", "on this numeric address alone (default: all)", COMPLETE_NOTHING, NULL},
        {0, "broker", "URL", "use this MQTT broker (mqtts://HOST:PORT) instead of one of the hub's own",
                COMPLETE_NOTHING, NULL},
        {0, "broker-port", "PORT", "where the hub's own broker listens (default 8883)", COMPLETE_NOTHING,
                NULL},
        {0, "name", "NAME", "what the hub is called, for life (default: the node's name)", COMPLETE_NOTHING,
                NULL},
        {0, "certificates", "TIME", "how long certificates of nodes are valid (default 24h)",
                COMPLETE_NOTHING, NULL},
        {0, "ttl", "TIME", "how long the token can be used (default 15m)", COMPLETE_NOTHING, NULL},
        RECORD_OPTIONS,
        {0, "reason", "TEXT", "of revoke: why, for the history", COMPLETE_NOTHING, NULL},
        {0},
};

static int add_count(struct cli *c, json_t *body, const char *option, const char *key, struct err *e)
{
	const char *text = args_value(&c->args, option);
	uint64_t v;

	if (!text)
		return 0;
	if (count_parse(text, option, 65535, &v, e) < 0)
		return -1;
	json_object_set_new(body, key, json_integer((json_int_t)v));
	return 0;
}

static int add_time(struct cli *c, json_t *body, const char *option, const char *key, struct err *e)
{
	const char *text = args_value(&c->args, option);
	uint64_t ns;

	if (!text)
		return 0;
	if (duration_parse(text, &ns, e) < 0)
		return -1;
	json_object_set_new(body, key, json_real((double)ns / 1e9));
	return 0;
}

static void add_text(struct cli *c, json_t *body, const char *option)
{
	const char *text = args_value(&c->args, option);

	if (text)
		json_object_set_new(body, option, json_string(text));
}

static json_t *settings(struct cli *c, struct err *e)
{
	json_t *body = json_object(), *list = json_array();
	const char *address;

	for (size_t i = 0; (address = args_nth(&c->args, "address", i)); i++)
		json_array_append_new(list, json_string(address));
	if (json_array_size(list))
		json_object_set(body, "addresses", list);
	json_decref(list);
	add_text(c, body, "listen");
	add_text(c, body, "broker");
	add_text(c, body, "name");
	if (add_count(c, body, "port", "port", e) == 0 &&
	        add_count(c, body, "broker-port", "broker_port", e) == 0 &&
	        add_time(c, body, "certificates", "certificates", e) == 0)
		return body;
	json_decref(body);
	return NULL;
}

/* Prints the line to paste: alone on stdout, so that a script can take it. */
static int token(struct cli *c, const json_t *hub)
{
	struct err e = {0};
	bool standby = !hub && args_flag(&c->args, "standby");
	json_t *body = json_object(), *j;

	if (standby)
		json_object_set_new(body, "standby", json_true());
	if (add_time(c, body, "ttl", "ttl", &e) < 0) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	j = ask(c, "POST", "/v1/hub/tokens", body, &e);
	json_decref(body);
	if (!j)
		return cli_fail(c, &e);
	if (c->json) {
		json_print(j);
	} else {
		char when[40];

		if (hub)
			term_note("hub '%s' listens at port %llu; paste this on the next machine:",
			        j_str(hub, "name"), (unsigned long long)j_uint(hub, "port"));
		(void)printf(standby ? "osier hub --standby '%s'\n" : "osier join '%s'\n", j_str(j, "join"));
		term_hint(standby ? "whoever uses it gets the hub's keys; it can be used once, until %s"
		                  : "it lets one node join, until %s; 'osier hub token' prints another",
		        clock_text(j_time(j, "expires"), cli_now_ns(), when, sizeof(when)));
	}
	json_decref(j);
	return EXIT_OK;
}

/* Another node is the hub that this one stands by for: 1, and that is told. */
static int stands_by(struct cli *c, struct err *e)
{
	json_t *v = ask_get(c, e, "/v1/version"), *record = json_object_get(v, "record");
	int rc = !v ? -1 : json_is_true(json_object_get(record, "standby"));

	if (rc == 1 && c->json)
		json_print(v);
	else if (rc == 1)
		(void)printf("standing by for the hub of the record at %s\n", j_str(record, "place"));
	json_decref(v);
	return rc;
}

/* "-": what `osier hub token` prints, from standard input, where no list of processes shows it. EXIT_OK, or told. */
static int take_line(struct cli *c, const char *word, char out[LINE_BYTES])
{
	bool hub = strcmp(c->def->name, "hub") == 0;
	char text[16 * LINE_BYTES], *at; /* ssh may greet first */
	struct err e = {0};
	size_t n;

	if (strcmp(word, "-") != 0) {
		if (snprintf(out, LINE_BYTES, "%s", word) < (int)LINE_BYTES)
			return EXIT_OK;
		return cli_usage(c, "that line is too long to be one");
	}
	n = fread(text, 1, sizeof(text) - 1, stdin);
	text[n] = '\0';
	at = strstr(text, "https://");
	if (at) {
		at[strcspn(at, "'\" \t\r\n")] = '\0';
		n = strlen(at);
		if (n < LINE_BYTES)
			memcpy(out, at, n + 1);
	}
	explicit_bzero(text, sizeof(text));
	if (at && n < LINE_BYTES)
		return EXIT_OK;
	(void)err_set(&e, ERR_INVALID, "there is no line of 'osier hub token' on standard input");
	(void)err_hint(&e, "ssh HUB osier hub token%s | osier %s -", hub ? " --standby" : "",
	        hub ? "hub --standby" : c->def->name);
	return cli_fail(c, &e);
}

/* The first time on this machine: with the line of a token. Then it is up, and stands by. */
static int begin_standby(struct cli *c, const char *line)
{
	struct err e = {0};
	json_t *body = settings(c, &e);
	int rc = body ? 0 : -1;

	if (rc == 0 && !c->state_dir)
		rc = state_folder(args_value(&c->args, "state"), &c->state_dir, &e);
	if (rc == 0 && (state_answers(c->state_dir) || state_kept(c->state_dir))) {
		(void)err_set(&e, ERR_EXISTS, "a node is up on '%.120s'", c->state_dir);
		rc = err_hint(
		        &e, "a standby has a state folder of its own: --state DIR, or 'osier down' first");
	}
	if (rc == 0)
		rc = state_folder_make(c->state_dir, &e);
	if (rc == 0)
		rc = hub_standby_join(c, line, body, &e);
	json_decref(body);
	if (rc == 0)
		rc = connect_or_start(c, &e);
	if (rc == 0)
		rc = stands_by(c, &e);
	if (rc == 0) /* the hub was gone by then: it is one */
		(void)printf("the hub is gone, and this node has taken over\n");
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

static int begin(struct cli *c)
{
	struct err e = {0};
	json_t *body = settings(c, &e), *j = NULL;
	int rc = body ? connect_or_start(c, &e) : -1;

	if (rc == 0 && args_flag(&c->args, "standby"))
		rc = stands_by(c, &e);
	if (rc == 1) {
		json_decref(body);
		return EXIT_OK;
	}
	if (rc == 0)
		j = ask(c, "POST", "/v1/hub", body, &e);
	json_decref(body);
	if (!j)
		return cli_fail(c, &e);
	rc = token(c, j);
	json_decref(j);
	return rc;
}

static int show(struct cli *c, json_t *j)
{
	struct table *t;
	char when[40];
	json_t *n;
	size_t i;

	if (c->json) {
		json_print(j);
		json_decref(j);
		return EXIT_OK;
	}
	if (!j_bool(j, "hub")) {
		(void)puts("this node is no hub");
		term_hint("'osier hub' makes it one");
		json_decref(j);
		return EXIT_OK;
	}
	(void)printf("hub '%s' at port %llu, fingerprint %s, %llu open token%s\n", j_str(j, "name"),
	        (unsigned long long)j_uint(j, "port"), j_str(j, "fingerprint"),
	        (unsigned long long)j_uint(j, "open_tokens"), plural(j_uint(j, "open_tokens")));
	if (j_uint(j, "standbys"))
		(void)printf("%llu standb%s, %llu of them may lack files\n",
		        (unsigned long long)j_uint(j, "standbys"), j_uint(j, "standbys") == 1 ? "y" : "ies",
		        (unsigned long long)j_uint(j, "standbys_lagging"));
	t = table_new();
	table_column(t, "NODE", LEFT, false);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "CERTIFICATE UNTIL", LEFT, false);
	table_column(t, "KEY", LEFT, true);
	json_array_foreach(json_object_get(j, "nodes"), i, n)
	{
		uint64_t until = j_time(n, "certificate_until");

		table_cell(t, PLAIN, j_str(n, "name"));
		table_cell(t,
		        j_bool(n, "removed") ? RED
		        : until              ? PLAIN
		                             : YELLOW,
		        j_bool(n, "removed")   ? "removed"
		        : j_bool(n, "standby") ? "standby"
		        : until                ? "joined"
		                               : "expired");
		table_cell(t, PLAIN, until ? clock_text(until, cli_now_ns(), when, sizeof(when)) : "-");
		table_cell(t, PLAIN, j_str(n, "key"));
	}
	table_print(t);
	table_free(t);
	json_decref(j);
	return EXIT_OK;
}

static int revoke(struct cli *c)
{
	const char *reason = args_value(&c->args, "reason");
	struct err e = {0};
	json_t *body, *j = NULL;

	if (c->args.n_args != 2)
		return cli_usage(c, "whom: 'osier hub revoke NAME'");
	body = json_pack("{s:s, s:s*}", "node", c->args.arg[1], "reason", reason);
	if (cli_connect(c, &e) == 0)
		j = ask(c, "POST", "/v1/hub/revoke", body, &e);
	json_decref(body);
	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print(j);
	else
		(void)printf("the certificates of '%s' count no more; it has to join anew\n", c->args.arg[1]);
	json_decref(j);
	return EXIT_OK;
}

static int run_hub(struct cli *c)
{
	const char *word = c->args.n_args ? c->args.arg[0] : "";
	char line[LINE_BYTES];
	struct err e = {0};
	json_t *j;
	int rc;

	if (strcmp(word, "revoke") == 0)
		return revoke(c);
	if (strcmp(word, "broker") == 0)
		return c->args.n_args == 2 ? hub_broker(c, c->args.arg[1])
		                           : cli_usage(c, "where to: 'osier hub broker FOLDER'");
	if (c->args.n_args > 1)
		return cli_usage(c, "'%.60s' is one too many", c->args.arg[1]);
	if (!*word)
		return begin(c);
	if (strncmp(word, "https://", 8) == 0 || strcmp(word, "-") == 0) {
		if (args_flag(&c->args, "standby")) {
			rc = take_line(c, word, line);
			return rc == EXIT_OK ? begin_standby(c, line) : rc;
		}
		return cli_usage(c, "a line is for 'osier join', or for 'osier hub --standby'");
	}
	if (strcmp(word, "token") != 0 && strcmp(word, "show") != 0)
		return cli_usage(c, "'%.40s' is none of token, show, revoke, broker", word);
	if (cli_connect(c, &e) < 0)
		return cli_fail(c, &e);
	if (*word == 't')
		return token(c, NULL);
	j = ask_get(c, &e, "/v1/hub");
	return j ? show(c, j) : cli_fail(c, &e);
}

const struct command_def cmd_hub = {
        .name = "hub",
        .group = GROUP_NODE,
        .usage = "[token | show | revoke NAME | broker FOLDER | --standby LINE] [options]",
        .summary = "let other machines join this one",
        .about = "Makes this node a hub (and starts it, if it is not up) and prints the line to paste on the "
                 "next "
                 "machine. The hub has a certificate authority of its own, in hub/ of the state folder; "
                 "nodes reach it by "
                 "HTTPS. The line has a token, which lets one node join and expires, and the fingerprint of "
                 "the hub, "
                 "by which the node knows that it talks to this one. Said again, it changes what is given, "
                 "prints "
                 "another line, and leaves the rest.\n"
                 "\n"
                 "token prints another line; show tells who has joined; revoke makes a node's certificates "
                 "count no "
                 "more; broker writes into a folder what a mosquitto that is not the hub's own needs to "
                 "carry its "
                 "links (docs/fleet.md). A hub whose journal lies in PostgreSQL can have standbys: token "
                 "--standby prints the "
                 "line with which a machine gets the hub's keys, stands by, and takes over when the hub's "
                 "machine is gone (docs/record.md). LINE may be -, for a line on standard input.",
        .examples = "osier hub                                  # and a line to paste\n"
                    "osier hub --address plant.example --port 443\n"
                    "osier hub --record postgres://osier@db.example.com/osier\n"
                    "osier hub token --standby                  # then on a second machine:\n"
                    "osier hub --standby 'https://10.0.0.1:7443#AU...'\n"
                    "osier hub token --ttl 1h                   # for the next machine\n"
                    "osier hub revoke press-4 --reason stolen\n"
                    "osier hub broker /etc/mosquitto/osier      # after --broker mqtts://HOST:8883",
        .options = hub_options,
        .args_max = 2,
        .words = "token,show,revoke,broker",
        .complete = COMPLETE_NODE,
        .here = true,
        .run = run_hub,
};

/* ---- join and leave ---- */

static const struct option_def join_options[] = {
        {0, "name", "NAME", "what this node is called at the hub (default: its name, in lower case)",
                COMPLETE_NOTHING, NULL},
        {0},
};

static int run_join(struct cli *c)
{
	struct err e = {0};
	char line[LINE_BYTES];
	json_t *body, *j = NULL;
	int rc = take_line(c, c->args.arg[0], line);

	if (rc != EXIT_OK)
		return rc;
	body = json_pack("{s:s, s:s*}", "line", line, "name", args_value(&c->args, "name"));
	explicit_bzero(line, sizeof(line));
	if (connect_or_start(c, &e) == 0)
		j = ask(c, "POST", "/v1/join", body, &e);
	json_decref(body);
	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print(j);
	else
		(void)printf("joined hub '%s' as '%s'\n", j_str(j, "hub"), j_str(j, "node"));
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_join = {
        .name = "join",
        .group = GROUP_NODE,
        .usage = "https://HUB:7443#TOKEN | - [options]",
        .summary = "make this machine a node of a hub",
        .about = "Takes the line that 'osier hub' printed on the hub (in quotes: some shells take # for a "
                 "comment). The "
                 "node is started if it is not up. It makes a key that never leaves it, looks whether the "
                 "hub is the one "
                 "that made the token, and gets a certificate, which it renews by itself. Nothing is told to "
                 "a hub with "
                 "another fingerprint.\n"
                 "\n"
                 "With - it takes the line from standard input, so that a script gives it to no list of "
                 "processes and no shell's history.",
        .examples = "osier join 'https://plant.example:7443#AU...'\n"
                    "osier join 'https://10.0.0.1:7443#AU...' --name press-4\n"
                    "ssh plant.example osier hub token | osier join -",
        .options = join_options,
        .args_min = 1,
        .args_max = 1,
        .here = true,
        .run = run_join,
};

static int run_leave(struct cli *c)
{
	struct err e = {0};
	json_t *j = NULL, *was = NULL;

	if (cli_connect(c, &e) == 0)
		was = ask_get(c, &e, "/v1/parent");
	if (was)
		j = ask(c, "POST", "/v1/leave", NULL, &e);
	if (!j) {
		json_decref(was);
		return cli_fail(c, &e);
	}
	if (c->json) {
		json_print(j);
	} else {
		(void)printf("left hub '%s'\n", j_str(was, "hub"));
		term_hint("on the hub, 'osier hub revoke %s' makes its certificate count no more",
		        j_str(was, "node"));
	}
	json_decref(was);
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_leave = {
        .name = "leave",
        .group = GROUP_NODE,
        .usage = "",
        .summary = "be no node of its hub any more",
        .about = "Forgets the hub that this node has joined, with its certificate. The hub is not told: it "
                 "goes on to know "
                 "the node as one that it does not hear, until it is revoked there.",
        .examples = "osier leave",
        .args_max = 0,
        .here = true,
        .run = run_leave,
};
