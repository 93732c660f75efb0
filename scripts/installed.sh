#!/usr/bin/env bash
# Says where the programs were installed, and what to type if the shell does not
# find them there.
#
# usage: scripts/installed.sh FOLDER
set -euo pipefail
bin=$(cd "$1" && pwd)
echo "publish and listen are in $bin."
case ":$PATH:" in
*":$bin:"*)
  for program in publish listen; do
    found=$(command -v "$program" || true)
    if [ "$found" != "$bin/$program" ]; then
      echo "But \`$program\` means ${found:-nothing}, which comes first on PATH, or is remembered by the shell (hash -r)."
    fi
  done
  ;;
*)
  # shellcheck disable=SC2088 # it is shown, not expanded
  case ${SHELL##*/} in
  fish) line="fish_add_path '$bin'" keep= ;;
  zsh) line="export PATH='$bin':\"\$PATH\"" keep='~/.zshrc' ;;
  *) line="export PATH='$bin':\"\$PATH\"" keep='~/.profile' ;;
  esac
  echo "That folder is not on PATH. Type this${keep:+ (and put it into $keep, for new terminals)}:"
  echo
  echo "  $line"
  ;;
esac
