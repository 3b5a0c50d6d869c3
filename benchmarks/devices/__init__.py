"""Where artefacts are measured: this machine, an emulated arm64 core, a board over ssh, a phone over adb."""
