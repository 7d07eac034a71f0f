#include "cmd.h"
#include "report_template.h"
int cmd_report(const struct options *o)
{
    (void)o;
    (void)report_template;
    return 0;
}
