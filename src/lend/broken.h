// SPDX-License-Identifier: MIT
/*
 * R42: in builds with LEND_BROKEN, which are tests, one rule at a time can be broken; a test must fail then. In all others
 * nothing of this is there.
 */
#pragma once

enum lend_rule {
	LEND_RULE_NONE,
	LEND_RULE_REVOKE,      /* R6: a revoke takes nothing back */
	LEND_RULE_LATE_SUPPLY, /* R9: an answer to a fault from before a revoke is taken */
	LEND_RULE_SEQ,         /* R9: so is what was chosen before one */
	LEND_RULE_DEATH,       /* R10: what a dead lender lent stays */
	LEND_RULE_READ_ONLY,   /* R18: the guest may write to it */
	LEND_RULE_OWNER,       /* R31: anybody lends in a window */
	LEND_RULE_HOLD,        /* between begin and end something is lent */
	LEND_RULE_BRIDGE,      /* the bridge lets the caller go on before it revokes */
	LEND_RULES,
};

#ifdef LEND_BROKEN
extern enum lend_rule lend_broken_rule;
#define LEND_BREAKS(rule) (lend_broken_rule == (rule))
#else
#define LEND_BREAKS(rule) 0
#endif
