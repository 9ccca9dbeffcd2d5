;; SPDX-License-Identifier: MIT OR GPL-2.0-only
;; SBCL compiles as it goes: functions made at run time, generic arithmetic, garbage, a handled error.
(defun make (n) (compile nil `(lambda (x) (mod (+ (* x ,n) ,(* n n)) 1000003))))
(let ((x 1))
  (dotimes (n 60) (let ((f (make n))) (dotimes (k 2000) (setf x (+ 1 (funcall f (+ x k)))))))
  (print x))
(print (loop for n from 1 to 400 for f = 1 then (* f n) finally (return (mod f (1- (expt 2 521))))))
(let ((h (make-hash-table :test 'equal)))
  (dotimes (n 100000) (incf (gethash (format nil "~D" (mod (* n n) 977)) h 0)))
  (print (sort (loop for v being the hash-values of h collect v) #'<)))
(print (loop for n below 1000 count (handler-case (/ n (mod n 7)) (division-by-zero () nil))))
