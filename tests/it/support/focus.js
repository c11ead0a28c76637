// What has the focus: whether that can be seen, and where it is.
const element = document.activeElement;
if (!element || element === document.body) return null;
const outlined = (one) => {
  const style = getComputedStyle(one);
  return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none";
};
const box = element.getBoundingClientRect();
const shown = outlined(element) || (element.closest(".switch") ? outlined(element.closest(".switch")) : false);
window.lockstepSeen = window.lockstepSeen || [];
const again = window.lockstepSeen.includes(element);
window.lockstepSeen.push(element);
return {
  shown,
  again,
  inside: box.right > 0 && box.bottom > 0 && box.left < window.innerWidth,
  what: element.outerHTML.replace(/\s+/g, " ").slice(0, 90),
};
