/* What the guest library may keep of an application's memory. Each number with its reason.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_GUEST_LIMITS_H
#define HIRA_GUEST_LIMITS_H

/* Returned strings that live as long as the process, each text once: natively they lie in the vendor's library, and none has that much
 * text. 600,000 of a hundred bytes, should an API make them up as it goes. */
#define HIRA_STRINGS_STATIC_MAX (64ull * 1024 * 1024)

/* Returned strings of all live objects: natively they are the vendor's memory. A log of 1 KiB to each of 100,000 objects twice over. */
#define HIRA_STRINGS_OBJECTS_MAX (256ull * 1024 * 1024)

#endif
