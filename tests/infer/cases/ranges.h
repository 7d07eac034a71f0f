/* Machine-readable documentation behind parameters: [range(0, n)], and what its absence means.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

typedef struct _event *event;
typedef struct {
    int x, y;
} place;

int appendWait(uint32_t numEvents,  ///< [in] number of events
               event *phEvents,     ///< [in][optional][range(0, numEvents)] events to wait for, one
                                    ///< after the other
               void *pattern,       ///< [in] the pattern
               const place *where   /**< [in] where it happens */
);
int eventGet(uint32_t *pCount,      ///< [in,out] how many
             event *phEvents        ///< [in,out][optional][range(0, *pCount)] the events
);
int eventPlaces(uint32_t numPlaces, const place *places, ///< [in][range(0, numPlaces * 2)] places
                event *phEvent,     ///< [out] the event
                int *state          ///< [out] a state
);
