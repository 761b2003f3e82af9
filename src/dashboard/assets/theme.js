// Puts the chosen theme in place before the first paint; without a choice the system's preference holds.
(() => {
  try {
    const theme = localStorage.getItem("sentinel-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage can be forbidden; the system's preference is fine then.
  }
})();
