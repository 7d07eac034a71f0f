/*
 * How the two sides of a lane sleep and wake each other (lane.h, lane.c), as a model that spin explores completely: is any wake-up lost?
 *
 * Modelled step by step: publishing a record, taking it, giving its room back, replying; and the sleep for a record, for room and for a
 * reply. Left out: spinning, which only looks more often, and the 200 ms at which sleepers wake by themselves, for they would hide what is
 * looked for. So a lost wake-up is a state in which nobody can go on.
 *
 * Memory is weaker than x86's: each side has a buffer of stores that the other does not see yet, which reach memory one by one in any
 * order but that of stores to one place, a releasing store after those before it. A fence, and an exchange of memory, waits until the buffer
 * is empty; so does the kernel, before it compares the word of a futex.
 *
 * Whoever changes the order of steps in lane.c changes it here. That the model can fail, tests/model/run.sh shows by leaving out one
 * step at a time:
 *
 *   NO_FENCE        between saying that one sleeps and looking once more
 *   NO_RECHECK      the look once more
 *   NO_ROOM_RECHECK the look for a caller that waits for room, where the ring is empty
 *   PLAIN_STAMP     the exchange by which a record is published: a plain store
 *   PLAIN_REPLY     the same of a reply
 *   NO_ZERO         the zeroing of the next stamp
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECORDS
#define RECORDS 5 /* more than the ring holds, so that it wraps and a caller waits for room */
#endif
#define SIZE 4    /* of the ring, in records; a record needs itself and the word behind it */
#define NEED 2

#define CALLER 0
#define CALLEE 1

/* Places in memory: the ring's stamps, then these. */
#define TAIL (SIZE)
#define CALLEE_SLEEPS (SIZE + 1)
#define CALLER_SLEEPS (SIZE + 2)
#define ROOM_AT (SIZE + 3)
#define REPLY (SIZE + 4)
#define PLACES (SIZE + 5)

#define AWAKE 0
#define WANTS_RECORD 1
#define WANTS_ROOM 2
#define WANTS_REPLY 3

byte memory[PLACES];

/* Buffers of stores: one entry a place, for a later store to the same place may swallow an earlier one. */
typedef buffer { bit held[PLACES]; byte value[PLACES]; byte before[PLACES]; }
buffer stores[2];
byte n_stores[2];
bit asleep[2];
bit sync[RECORDS + 1]; /* of the records themselves: whether a reply is wanted. Seen with the stamp */

/* A side reads its own stores first. */
inline load(me, place, to) { d_step { if :: stores[me].held[place] -> to = stores[me].value[place] :: else -> to = memory[place] fi } }
inline store(me, place, what) {
	d_step {
		if :: !stores[me].held[place] -> stores[me].held[place] = 1; n_stores[me]++ :: else -> skip fi;
		stores[me].value[place] = what
	}
}
/* Reaches memory after all that is in the buffer now: waiting for an empty buffer would do more than a release does. */
inline release(me, place, what) {
	d_step {
		if :: !stores[me].held[place] -> stores[me].before[place] = n_stores[me]; stores[me].held[place] = 1; n_stores[me]++ :: else -> skip fi;
		stores[me].value[place] = what
	}
}
inline fence(me) { n_stores[me] == 0 }
inline exchange(me, place, what, old) { atomic { n_stores[me] == 0; old = memory[place]; memory[place] = what } }

/* Any place whose store may go; a releasing one when as many have gone as were there before it. */
inline select_place(me, to) {
	if
	:: stores[me].held[0] && stores[me].before[0] == 0 -> to = 0
	:: stores[me].held[1] && stores[me].before[1] == 0 -> to = 1
	:: stores[me].held[2] && stores[me].before[2] == 0 -> to = 2
	:: stores[me].held[3] && stores[me].before[3] == 0 -> to = 3
	:: stores[me].held[TAIL] && stores[me].before[TAIL] == 0 -> to = TAIL
	:: stores[me].held[CALLEE_SLEEPS] && stores[me].before[CALLEE_SLEEPS] == 0 -> to = CALLEE_SLEEPS
	:: stores[me].held[CALLER_SLEEPS] && stores[me].before[CALLER_SLEEPS] == 0 -> to = CALLER_SLEEPS
	:: stores[me].held[ROOM_AT] && stores[me].before[ROOM_AT] == 0 -> to = ROOM_AT
	:: stores[me].held[REPLY] && stores[me].before[REPLY] == 0 -> to = REPLY
	fi
}

/* What a buffer holds reaches memory, sooner or later. */
proctype Drain(byte me)
{
	byte i, k;
end:	do
	:: atomic {
		n_stores[me] > 0;
		select_place(me, i);
		memory[i] = stores[me].value[i];
		d_step {
			stores[me].held[i] = 0;
			n_stores[me]--;
			/* One store less is before each of those that wait for others. */
			for (k : 0 .. PLACES - 1) {
				if :: stores[me].held[k] && stores[me].before[k] > 0 -> stores[me].before[k]-- :: else -> skip fi
			}
			k = 0; i = 0
		}
	   }
	od
}

/* The kernel: compares and sleeps in one step. */
inline futex_wait(me, word, expected) {
	atomic { n_stores[me] == 0; if :: memory[word] == expected -> asleep[me] = 1 :: else -> skip fi };
	!asleep[me]
}
inline futex_wake(other) { asleep[other] = 0 }

/* hira_wake: looks, then takes the word over, so that a sleeper is woken once. */
inline wake(me, word, wants, other) {
	load(me, word, seen);
	if
	:: seen == wants ->
		exchange(me, word, AWAKE, seen);
		if :: seen != AWAKE -> futex_wake(other) :: else -> skip fi
	:: else -> skip
	fi
}

/* hira_callee_wake_for_room */
inline wake_for_room() {
	load(CALLEE, CALLER_SLEEPS, seen);
	if
	:: seen == WANTS_ROOM ->
		load(CALLEE, ROOM_AT, seen);
		if :: head >= seen -> wake(CALLEE, CALLER_SLEEPS, WANTS_ROOM, CALLER) :: else -> skip fi
	:: else -> skip
	fi
}

/* sleep_for, of which `there` is set by the test. */
#ifdef NO_FENCE
#define FENCE(me) skip
#else
#define FENCE(me) fence(me)
#endif
#ifdef NO_RECHECK
#define RECHECK(test) there = 0
#else
#define RECHECK(test) test
#endif

inline test_room() {
	load(CALLER, TAIL, seen);
	tail = seen;
	load(CALLER, ROOM_AT, seen);
	there = (tail >= seen)
}
inline test_reply() { load(CALLER, REPLY, seen); there = (seen == sequence) }
inline test_record() {
	load(CALLEE, head % SIZE, stamp);
	there = (stamp != 0);
	if
#ifndef NO_ROOM_RECHECK
	:: !there -> wake_for_room()
#endif
	:: else -> skip
	fi
}

proctype Caller()
{
	byte head, tail, sequence, seen;
	bit there, wants;
	do
	:: sequence < RECORDS ->
		/* hira_caller_reserve, hira_caller_wait_room */
		if
		:: head + NEED - tail > SIZE ->
			load(CALLER, TAIL, seen);
			tail = seen;
			if
			:: head + NEED - tail > SIZE ->
				store(CALLER, ROOM_AT, head - SIZE / 2);
				do
				:: store(CALLER, CALLER_SLEEPS, WANTS_ROOM);
				   FENCE(CALLER);
				   RECHECK(test_room());
				   if :: there -> break :: else -> skip fi;
				   futex_wait(CALLER, CALLER_SLEEPS, WANTS_ROOM);
				   test_room();
				   if :: there -> break :: else -> skip fi
				od;
				store(CALLER, CALLER_SLEEPS, AWAKE)
			:: else -> skip
			fi
		:: else -> skip
		fi;
		assert(head + NEED - tail <= SIZE);
		/* hira_caller_publish. Some wait for their replies; the last does. */
		if :: wants = 1 :: sequence + 1 < RECORDS -> wants = 0 fi;
#ifndef NO_ZERO
		store(CALLER, (head + 1) % SIZE, 0);
#endif
		sequence++;
		sync[sequence] = wants;
#ifdef PLAIN_STAMP
		store(CALLER, head % SIZE, sequence);
#else
		exchange(CALLER, head % SIZE, sequence, seen);
#endif
		head++;
		wake(CALLER, CALLEE_SLEEPS, WANTS_RECORD, CALLEE);
		if
		:: wants ->
			do
			:: store(CALLER, CALLER_SLEEPS, WANTS_REPLY);
			   FENCE(CALLER);
			   RECHECK(test_reply());
			   if :: there -> break :: else -> skip fi;
			   futex_wait(CALLER, CALLER_SLEEPS, WANTS_REPLY);
			   test_reply();
			   if :: there -> break :: else -> skip fi
			od;
			store(CALLER, CALLER_SLEEPS, AWAKE)
		:: else -> skip
		fi
	:: else -> break
	od
}

proctype Callee()
{
	byte head, taken, seen, stamp;
	bit there;
	do
	:: taken < RECORDS ->
		/* hira_callee_next, hira_callee_wait */
		test_record();
		if
		:: !there ->
			do
			:: store(CALLEE, CALLEE_SLEEPS, WANTS_RECORD);
			   FENCE(CALLEE);
			   RECHECK(test_record());
			   if :: there -> break :: else -> skip fi;
			   futex_wait(CALLEE, CALLEE_SLEEPS, WANTS_RECORD);
			   test_record();
			   if :: there -> break :: else -> skip fi
			od;
			store(CALLEE, CALLEE_SLEEPS, AWAKE)
		:: else -> skip
		fi;
		taken++;
		assert(stamp == taken); /* no stale line is taken for a record */
		/* hira_callee_release */
		head++;
		release(CALLEE, TAIL, head);
		wake_for_room();
		/* hira_callee_reply */
		if
		:: sync[taken] ->
#ifdef PLAIN_REPLY
			store(CALLEE, REPLY, taken);
#else
			exchange(CALLEE, REPLY, taken, seen);
#endif
			wake(CALLEE, CALLER_SLEEPS, WANTS_REPLY, CALLER)
		:: else -> skip
		fi
	:: else -> break
	od
}

init { atomic { run Drain(CALLER); run Drain(CALLEE); run Caller(); run Callee() } }
