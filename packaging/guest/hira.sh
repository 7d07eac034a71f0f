# Where programs in this virtual machine find the host's hirad (hira vm args). SPDX-License-Identifier: Apache-2.0
if [ -z "${HIRA_SOCKET:-}" ] && [ -e /dev/vsock ]; then
	export HIRA_SOCKET=vsock:10
fi
