;;; layerlr-ts-mode.el --- Rule files of layerlr  -*- lexical-binding: t; -*-

;; Version: 0.1.0
;; Package-Requires: ((emacs "29.1"))
;; Keywords: languages
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Colours by tree-sitter, and `layerlr lsp' as a server of Eglot.  The query of the colours is read from
;; ../queries/emacs, so this file stays where the package has it.

;;; Code:

(require 'treesit)

(defconst layerlr-ts-mode--query
  (with-temp-buffer
    (insert-file-contents
     (expand-file-name "../queries/emacs/highlights.scm"
                       (file-name-directory (or load-file-name buffer-file-name))))
    (buffer-string))
  "What has which face.")

(defvar layerlr-ts-mode--syntax-table
  (let ((table (make-syntax-table)))
    (modify-syntax-entry ?# "<" table)
    (modify-syntax-entry ?\n ">" table)
    (modify-syntax-entry ?_ "_" table)
    (modify-syntax-entry ?* "." table)
    table)
  "Comments go from # to the end of a line.")

(defun layerlr-ts-mode--statement-name (node)
  "The first line of NODE, for Imenu."
  (car (split-string (treesit-node-text node t) "\n")))

;;;###autoload
(define-derived-mode layerlr-ts-mode prog-mode "layerlr"
  "Major mode for rule files of layerlr."
  :syntax-table layerlr-ts-mode--syntax-table
  (setq-local comment-start "# "
              comment-end ""
              comment-start-skip "#+\\s-*")
  (when (treesit-ready-p 'layerlr)
    (treesit-parser-create 'layerlr)
    (setq-local treesit-font-lock-feature-list '((colours))
                treesit-font-lock-settings
                (treesit-font-lock-rules
                 :language 'layerlr :feature 'colours layerlr-ts-mode--query)
                treesit-simple-imenu-settings
                '(("Stage" "\\`stage\\'" nil layerlr-ts-mode--statement-name)
                  ("Group" "\\`group\\'" nil layerlr-ts-mode--statement-name)
                  ("Rule" "\\`rule\\'" nil layerlr-ts-mode--statement-name)))
    (treesit-major-mode-setup)))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.lr\\'" . layerlr-ts-mode))

(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs '(layerlr-ts-mode . ("layerlr" "lsp"))))

(provide 'layerlr-ts-mode)
;;; layerlr-ts-mode.el ends here
