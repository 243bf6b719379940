// SPDX-License-Identifier: MIT
/* xenbus_fsm.c: conversations as drivers have them, and every order of states: it always comes to rest. */
#include <string.h>

#include <glib.h>

#include "backend/xenbus_fsm.h"

enum { INITIALISING = 1, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED };

/* What the back end publishes after the front end's state, in order, as digits; detaching is over at once. */
static char *converse(struct xenbus_fsm *fsm, int frontend, bool can_attach)
{
	GString *said = g_string_new(NULL);
	unsigned int steps = 0;
	enum xenbus_action action;

	fsm->frontend = (XenbusState)frontend;
	while ((action = xenbus_fsm_next(fsm)) != XENBUS_WAIT && action != XENBUS_GONE) {
		g_assert_cmpuint(++steps, <, 8);
		if (action == XENBUS_ATTACH)
			xenbus_fsm_attached(fsm, can_attach);
		if (action == XENBUS_DETACH) {
			g_assert_true(fsm->attached);
			xenbus_fsm_detached(fsm);
		} else {
			g_string_append_c(said, (char)('0' + (int)fsm->state));
		}
	}
	if (action == XENBUS_GONE)
		g_string_append_c(said, 'x');
	return g_string_free(said, FALSE);
}

static void test_conversations(void)
{
	static const struct {
		const char *who, *frontend, *backend; /* a digit, or several between blanks, for each */
		bool can_attach;
	} cases[] = {
		{ "Linux, and its module removed", "1 3 4 5 6", "- 4 - 5 6", true },
		{ "grub, then Linux", "1 3 4 5 6 1 3 4", "- 4 - 5 6 2 4 -", true },
		{ "Linux, resetting after kexec", "1 3 4 5 6 1 3 4", "- 4 - 5 6 2 4 -", true },
		{ "Linux closes without Closing", "1 3 4 6", "- 4 - 6", true },
		{ "as netfront: straight to Connected", "1 4", "- 4", true },
		{ "a crash kernel", "1 3 4 1 3", "- 4 - 62 4", true },
		{ "bad nodes", "1 3 4 5 6 1 3", "- 5 - - 6 2 5", false },
		{ "vanished, and back", "1 3 4 0 1", "- 4 - 6 2", true },
		{ "never there", "0 1 3", "6 2 4", true },
		{ "closed, and at once Initialised", "1 3 6 3", "- 4 6 4", true },
		{ "nonsense", "2 7 8 3", "- - - 4", true },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(GStrv) frontend = g_strsplit(cases[i].frontend, " ", -1);
		g_auto(GStrv) backend = g_strsplit(cases[i].backend, " ", -1);
		struct xenbus_fsm fsm;

		xenbus_fsm_init(&fsm);
		g_assert_cmpint(fsm.state, ==, XenbusStateInitWait);
		for (size_t n = 0; frontend[n]; n++) {
			g_autofree char *said = converse(&fsm, frontend[n][0] - '0', cases[i].can_attach);

			g_test_message("%s: %s", cases[i].who, frontend[n]);
			g_assert_cmpstr(said, ==, backend[n][0] == '-' ? "" : backend[n]);
		}
	}
}

/* A device that is taken away: the front end's states until then, what it says when it is asked to close, our answers. */
static void test_leaving(void)
{
	static const struct {
		const char *who, *before, *at_once, *frontend, *backend;
	} cases[] = {
		{ "nobody's", "1", "56x", "", "" },
		{ "Linux", "1 3 4", "5", "6", "6x" },
		{ "Linux, older", "1 3 4", "5", "5 6", "- 6x" },
		{ "refuses, and goes on", "1 3 4", "5", "4 4 5 6", "- - - 6x" },
		{ "its folder is gone", "1 3 4", "5", "0", "6x" },
		{ "a crash kernel meanwhile", "1 3 4", "5", "1", "6x" },
		{ "closed already", "1 3 4 5 6", "x", "", "" },
		{ "in the middle of connecting", "1 3", "5", "4 6", "- 6x" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(GStrv) before = g_strsplit(cases[i].before, " ", -1);
		g_auto(GStrv) frontend = g_strsplit(cases[i].frontend, " ", -1);
		g_auto(GStrv) backend = g_strsplit(cases[i].backend, " ", -1);
		struct xenbus_fsm fsm;
		int state = 0;

		xenbus_fsm_init(&fsm);
		for (size_t n = 0; before[n]; n++)
			g_free(converse(&fsm, state = before[n][0] - '0', true));
		g_test_message("%s", cases[i].who);
		xenbus_fsm_leave(&fsm);
		g_autofree char *at_once = converse(&fsm, state, true);
		g_assert_cmpstr(at_once, ==, cases[i].at_once);
		for (size_t n = 0; frontend[n]; n++) {
			g_autofree char *said = converse(&fsm, frontend[n][0] - '0', true);

			g_assert_cmpstr(said, ==, backend[n][0] == '-' ? "" : backend[n]);
		}
		/* At the end of all of them nothing is in use, and it stays so. */
		g_assert_false(fsm.attached);
		g_assert_cmpint(xenbus_fsm_next(&fsm), ==, XENBUS_GONE);
	}
}

static void test_failure(void)
{
	struct xenbus_fsm fsm;

	xenbus_fsm_init(&fsm);
	g_assert_false(xenbus_fsm_fail(&fsm));
	g_free(converse(&fsm, CONNECTED, true));
	g_assert_true(xenbus_fsm_fail(&fsm));
	g_assert_false(xenbus_fsm_fail(&fsm));
	g_assert_cmpint(fsm.state, ==, XenbusStateClosing);
	g_assert_cmpint(xenbus_fsm_next(&fsm), ==, XENBUS_DETACH);
	/* Nothing else while it lets go, whatever the front end says. */
	for (int state = 0; state <= 8; state++) {
		fsm.frontend = (XenbusState)state;
		g_assert_cmpint(xenbus_fsm_next(&fsm), ==, XENBUS_WAIT);
	}
	xenbus_fsm_detached(&fsm);
	fsm.frontend = XenbusStateConnected;
	g_assert_cmpint(xenbus_fsm_next(&fsm), ==, XENBUS_WAIT);
}

/* Every sequence of six states, with attaching that works and that does not: rest, and no attachment behind Closed. */
static void test_every_order(void)
{
	for (unsigned int code = 0; code < 531441; code++) {
		struct xenbus_fsm fsm;
		unsigned int rest = code;

		xenbus_fsm_init(&fsm);
		for (int i = 0; i < 6; i++, rest /= 9) {
			g_free(converse(&fsm, (int)(rest % 9), (code + (unsigned int)i) % 3 != 0));
			g_assert_true(!fsm.attached || fsm.state == XenbusStateConnected);
			g_assert_true(fsm.attached || fsm.state != XenbusStateConnected);
		}
	}
}

static void test_parse(void)
{
	static const char *const bad[] = { "", "0", "9", "-1", "11", "1 ", " 1", "a", "01" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(xenbus_state_parse(bad[i], strlen(bad[i])), ==, XenbusStateUnknown);
	for (char state = '1'; state <= '8'; state++)
		g_assert_cmpint(xenbus_state_parse(&state, 1), ==, state - '0');
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/xenbus_fsm/conversations", test_conversations);
	g_test_add_func("/backend/xenbus_fsm/leaving", test_leaving);
	g_test_add_func("/backend/xenbus_fsm/failure", test_failure);
	g_test_add_func("/backend/xenbus_fsm/every-order", test_every_order);
	g_test_add_func("/backend/xenbus_fsm/parse", test_parse);
	return g_test_run();
}
