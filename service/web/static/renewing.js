// Live parts are renewed in place: elements that are still there stay the same elements, so that focus, selection and
// scroll stay with them; what a person typed, chose or opened is not written over. `hx-swap-oob="renew"` or
// `hx-swap="renew"` takes the part with its element; "renewed" is told on it afterwards.
"use strict";
{
  const isTyped = (field) => field.type === "checkbox" || field.type === "radio"
    ? field.checked !== field.defaultChecked
    : "defaultValue" in field && field.value !== field.defaultValue;

  const callbacks = {
    // What a person asked for and got, such as a proposal, is the person's.
    beforeNodeMorphed: (element) => !(element instanceof Element && "kept" in element.dataset),
    beforeAttributeUpdated(name, element) {
      if (name === "open" || name === "selected" || name === "aria-invalid") return false;
      return !((name === "value" || name === "checked") && isTyped(element));
    },
  };

  // What had the focus may be gone, as a button to cancel is when its job has ended: the part takes it then.
  function keepFocus(part, held) {
    if (held.isConnected || document.activeElement !== document.body) return;
    part.tabIndex = -1;
    part.focus({ preventScroll: true });
  }

  htmx.defineExtension("renew", {
    isInlineSwap: (style) => style === "renew",
    handleSwap(style, target, fragment) {
      if (style !== "renew") return false;
      const held = target.contains(document.activeElement) ? document.activeElement : null;
      const parts = Idiomorph.morph(target, fragment.children, { morphStyle: "outerHTML", callbacks });
      if (held) keepFocus(target, held);
      target.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
      return parts;
    },
  });
}
