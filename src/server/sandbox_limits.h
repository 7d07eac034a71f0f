/* What one server may take of the machine. Each number with its reason; what the device is to a tenant is the gate's affair.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_SERVER_SANDBOX_LIMITS_H
#define HIRA_SERVER_SANDBOX_LIMITS_H

/* Of private writable memory, on top of what it may use: what is reserved and never touched. That is a stack of 8 MiB for each of 512
 * lanes, and a compiler's arenas. Addresses alone are not bounded: pages of zeros stand for an application's memory while the vendor
 * is asked whether it would take it, and an image may be as large as its description says. */
#define HIRA_SANDBOX_RESERVED (8ull << 30)

/* Threads and processes: 512 lanes, a vendor's worker for each processor, compilers. Where servers of a tenant share a user
 * the kernel counts all of them together, unless each has a control group. */
#define HIRA_SANDBOX_PROCESSES 2048
#define HIRA_SANDBOX_PROCESSES_OF_TENANT 16384

/* Lanes need none once they are mapped; a compiler and a linker need some. It also bounds the descriptors that all servers
 * of a user have on their way to guests: one for each guest that reads slowly, and there may be 1,024. */
#define HIRA_SANDBOX_FILES 4096

/* A single file: memory files of lanes and arena count as files, and an arena segment may be all of the arena. */
#define HIRA_SANDBOX_FILE_SIZE (4ull << 30)

/* What it may lock in memory: the kernel's own default of today. */
#define HIRA_SANDBOX_LOCKED (8ull << 20)

/* Its own root with the private folder in it, which lies in memory: shipped headers (8 MiB a build), a compiler's temporary files. */
#define HIRA_SANDBOX_SCRATCH "256m"
#define HIRA_SANDBOX_SCRATCH_FILES "65536"

#define HIRA_SANDBOX_PATHS 512 /* that a server sees */

/* Users for servers where root runs hirad: tenant N's is the first of them plus N (modulo their number). They begin where no
 * distribution and no container manager puts users (systemd's list of ranges ends below), and end before systemd's next one. */
#define HIRA_SANDBOX_UIDS 1879048192u
#define HIRA_SANDBOX_UIDS_COUNT 268304384u

#endif
