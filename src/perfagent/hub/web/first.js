// Before anything is painted: the theme that this browser remembers, so that a dark page never flashes white.
try {
  const theme = localStorage.getItem('perfagent.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // a browser that keeps nothing follows the system
}
