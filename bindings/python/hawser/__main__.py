"""python -m hawser: the same as the command hawser."""

from hawser._cli import main

main()
