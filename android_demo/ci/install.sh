#!/usr/bin/env bash
# System packages of the Android build on Debian or Ubuntu; says what is missing when it may not install them.
set -euo pipefail
declare -A packages=(
  [javac]=openjdk-17-jdk-headless [aapt2]=aapt [apksigner]=apksigner [zipalign]=zipalign [dexdump]=dexdump [npm]=npm
)
declare -A files=(
  [/usr/share/android-framework-res/framework-res.apk]=android-framework-res
  [/usr/share/java/jna.jar]=libjna-java [/usr/share/java/junit4.jar]=junit4
)
if [ "${1:-}" = --browser ]; then
  packages[chromium]=chromium
  packages[chromedriver]=chromium-driver
fi
missing=()
for program in "${!packages[@]}"; do command -v "$program" >/dev/null || missing+=("${packages[$program]}"); done
for file in "${!files[@]}"; do [ -e "$file" ] || missing+=("${files[$file]}"); done
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "the Android build needs: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 4
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
