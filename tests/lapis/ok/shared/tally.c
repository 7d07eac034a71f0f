/* Guest code of an example of the manual, in a file of its own. SPDX-License-Identifier: Apache-2.0 */
static unsigned tallied;

static void tally(sm_queue queue)
{
    tallied += queue != NULL;
}
