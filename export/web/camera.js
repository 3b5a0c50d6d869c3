// The live camera: always the newest frame, front or back lens.

/** Returns {start(onFrame), stop(), flip(), active()}; onFrame(ImageData) is awaited before the next frame is taken. */
export function makeCamera() {
  const video = document.createElement("video");
  video.playsInline = true;
  video.muted = true;
  const canvas = document.createElement("canvas");
  let facing = "environment", stream, turn = 0;

  const stop = () => {
    turn++;
    stream?.getTracks().forEach((track) => track.stop());
    stream = undefined;
  };

  async function start(onFrame) {
    stop();
    const mine = turn;
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("the camera needs a page from https or from localhost");
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: facing, width: 640, height: 480}});
    } catch (error) {
      throw new Error(`no camera: ${error.message}; allow it in the browser, or open a picture`);
    }
    video.srcObject = stream;
    await video.play();
    while (mine === turn) {
      if (document.hidden || video.readyState < 2) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      const context = canvas.getContext("2d", {willReadFrequently: true});
      if (facing === "user") context.setTransform(-1, 0, 0, 1, canvas.width, 0);
      context.drawImage(video, 0, 0);
      await onFrame(context.getImageData(0, 0, canvas.width, canvas.height));
      await new Promise(requestAnimationFrame);
    }
  }

  return {start, stop, flip() {
    facing = facing === "user" ? "environment" : "user";
  }, active: () => stream !== undefined};
}
