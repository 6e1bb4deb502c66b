# Warnings for our own code; errors where LOSSD_WERROR says so (./dev lint, CI).
option(LOSSD_WERROR "Treat warnings as errors" OFF)
function(lossd_warnings target)
  target_compile_options(${target} INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Walloca
    -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef
    $<$<BOOL:${LOSSD_WERROR}>:-Werror>)
endfunction()
