// The buttons of the last frame: what a page of slides does with it.
const slide = document.getElementById('slide');
document.getElementById('play').onclick = () => slide.play();
document.getElementById('pause').onclick = () => slide.pause();
slide.addEventListener('change', ({ detail }) => {
  document.getElementById('step').textContent = `Step ${detail.step}, ${detail.is_running ? 'running' : 'paused'}.`;
});
