/* What makes handles, what counts their references, what ends them.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
typedef struct _device *device;
typedef struct _event *event;
typedef struct queue queue; /* used as queue * */

device apiCreateDevice(int kind);
int apiCreateEvents(device d, unsigned num_events, event *events);
int apiGetDevice(device *d);
int apiEnqueueTask(queue *q, const char *name, event *event);
int apiRetainEvent(event e);
int apiReleaseEvent(event e);
void apiDestroyQueue(device d, queue *q);
void apiCloseDevice(device d);
void apiUnloadCompiler(device d);
queue *apiOpenQueue(device d);
