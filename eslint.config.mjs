import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["static/vendor/**", "node_modules/**", ".venv/**", "var/**"] },
  js.configs.recommended,
  {
    rules: {
      // Hashed static files rewrite an import only where it ends with a semicolon.
      semi: ["error", "always"],
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-unused-expressions": ["error", { allowTernary: true, allowShortCircuit: true }],
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text from outside goes through textContent or renderMarkdown." },
        { property: "outerHTML", message: "Text from outside goes through textContent or renderMarkdown." },
        { property: "insertAdjacentHTML", message: "Text from outside goes through textContent or renderMarkdown." },
      ],
    },
  },
  { files: ["static/**/*.js"], languageOptions: { globals: globals.browser } },
  {
    // The parts without a page know neither it nor the time.
    files: ["static/chat/state.js", "static/chat/resume.js", "static/chat/blocks.js", "static/chat/stop.js"],
    languageOptions: { globals: Object.fromEntries(Object.keys(globals.browser).map((name) => [name, "off"])) },
  },
  { files: ["tests/js/**", "scripts/**", "*.mjs"], languageOptions: { globals: { ...globals.node } } },
];
