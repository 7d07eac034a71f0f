# UFO's image filters in three pipelines; digests of the images written are compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='libufo-bin ufo-filters'
CASE_NEEDS='ufo-launch /usr/lib/x86_64-linux-gnu/ufo/libufofilterblur.so'
CASE_EXPECT='  out-fft-00.raw$'

# The time a pipeline took.
case_normalize() {
    sed -E 's/Finished in [0-9.]+s/Finished in Ns/'
}

case_run() {
    export UFO_DEVICE_TYPE=cpu
    attempt blur ufo-launch -q dummy-data width=64 height=64 number=2 init=1.5 ! calculate "expression='v*2+x'" \
        ! blur size=5 sigma=2 ! write filename=out-blur-%02i.raw
    attempt fft ufo-launch -q dummy-data width=128 height=128 number=1 init=2 ! calculate "expression='v*x+x*x'" \
        ! fft dimensions=2 ! ifft dimensions=2 ! write filename=out-fft-%02i.raw
    attempt gradient ufo-launch -q dummy-data width=128 height=96 number=2 init=3 ! calculate "expression='v+x*x/3'" \
        ! gradient ! flip direction=vertical ! write filename=out-gradient-%02i.raw
    sha256sum -- *.raw
}
